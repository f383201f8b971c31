// What a client of Node does with a server: basic-ftp, plain or over one version of TLS.

const { Client } = require("basic-ftp");

async function main() {
  const [host, port, user, password, own, version] = process.argv.slice(2);
  const client = new Client(20000);
  const secureOptions = { rejectUnauthorized: false, minVersion: version, maxVersion: version };
  const tls = version ? { secure: true, secureOptions } : {};
  await client.access({ host, port: Number(port), user, password, ...tls });
  await client.ensureDir("a directory/below");
  await client.uploadFrom(`${own}/source`, "up");
  await client.appendFrom(`${own}/source`, "up");
  expect(await client.size("up"), 200000);
  await client.rename("up", "renamed");
  expect((await client.list()).map((entry) => entry.name).join(), "renamed");
  await client.downloadTo(`${own}/got`, "renamed");
  await client.cd("/");
  await client.uploadFromDir(`${own}/tree`, "tree");
  await client.downloadToDir(`${own}/again`, "tree");
  await client.removeDir("a directory");
  await client.removeDir("tree");
  client.close();
}

function expect(found, wanted) {
  if (found !== wanted) {
    throw new Error(`${found} instead of ${wanted}`);
  }
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
