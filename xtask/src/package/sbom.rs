//! The list of what is linked into the programs (CycloneDX 1.5, JSON), out of the lock file.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use serde_json::{Value, json};

use crate::command::{Done, cargo, make_directory, output, workspace};

/// The packages whose programs are shipped.
const SHIPPED: [&str; 3] = ["bulkhead", "bulkhead-worker", "bulkhead-helper"];

/// Writes the list.
///
/// # Errors
/// When cargo or the lock file cannot be read.
pub fn write(to: &Path) -> Done<()> {
    let mut command = cargo();
    command.args(["metadata", "--locked", "--format-version", "1"]);
    command.args(["--filter-platform", "x86_64-unknown-linux-gnu"]);
    let metadata: Value = serde_json::from_str(&output(&mut command)?)
        .map_err(|e| format!("cargo metadata cannot be read: {e}"))?;
    let lock = fs::read_to_string(workspace().join("Cargo.lock"))
        .map_err(|e| format!("Cargo.lock: {e}"))?;
    let text = serde_json::to_string_pretty(&bill(&metadata, &checksums(&lock)))
        .map_err(|e| format!("the list cannot be written as JSON: {e}"))?;
    make_directory(to.parent().unwrap_or(to))?;
    fs::write(to, text + "\n").map_err(|e| format!("{}: {e}", to.display()))
}

/// The checksum of each package of the lock file, by name and version.
fn checksums(lock: &str) -> BTreeMap<(String, String), String> {
    let value = |entry: &str, key: &str| {
        let line = entry.lines().find_map(|line| line.strip_prefix(&format!("{key} = \"")));
        line.and_then(|rest| rest.strip_suffix('"')).map(str::to_owned)
    };
    let entry = |entry: &str| {
        Some(((value(entry, "name")?, value(entry, "version")?), value(entry, "checksum")?))
    };
    lock.split("[[package]]").filter_map(entry).collect()
}

/// The document. It holds no time and no random number: the same lock file makes the same list.
fn bill(metadata: &Value, checksums: &BTreeMap<(String, String), String>) -> Value {
    let needed = reachable(metadata);
    let mut components = Vec::new();
    for package in list(metadata, "packages") {
        if !needed.contains(text(package, "id")) {
            continue;
        }
        let (name, version) = (text(package, "name"), text(package, "version"));
        let mut component = json!({
            "type": if SHIPPED.contains(&name) { "application" } else { "library" },
            "bom-ref": reference(package),
            "name": name,
            "version": version,
            "licenses": [{ "expression": text(package, "license").replace('/', " OR ") }],
        });
        if package.get("source").is_some_and(Value::is_string)
            && let Some(fields) = component.as_object_mut()
        {
            fields.insert("purl".into(), reference(package).into());
            if let Some(sum) = checksums.get(&(name.to_owned(), version.to_owned())) {
                fields.insert("hashes".into(), json!([{ "alg": "SHA-256", "content": sum }]));
            }
        }
        components.push(component);
    }
    components.sort_by(|a, b| text(a, "bom-ref").cmp(text(b, "bom-ref")));
    json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": { "component": {
            "type": "application",
            "name": "bulkhead",
            "version": env!("CARGO_PKG_VERSION"),
        }},
        "components": components,
    })
}

fn reference(package: &Value) -> String {
    format!("pkg:cargo/{}@{}", text(package, "name"), text(package, "version"))
}

/// The ids of all packages that the shipped programs need, at build time too, but not for tests.
fn reachable(metadata: &Value) -> BTreeSet<&str> {
    let nodes: BTreeMap<&str, &Value> = metadata
        .get("resolve")
        .map(|resolve| list(resolve, "nodes").iter().map(|node| (text(node, "id"), node)).collect())
        .unwrap_or_default();
    let shipped = |package: &&Value| SHIPPED.contains(&text(package, "name"));
    let mut waiting: Vec<&str> =
        list(metadata, "packages").iter().filter(shipped).map(|p| text(p, "id")).collect();
    let mut reached = BTreeSet::new();
    while let Some(id) = waiting.pop() {
        if !reached.insert(id) {
            continue;
        }
        for dependency in nodes.get(id).map(|node| list(node, "deps")).unwrap_or_default() {
            let kinds = list(dependency, "dep_kinds");
            if kinds.iter().any(|kind| text(kind, "kind") != "dev") {
                waiting.push(text(dependency, "pkg"));
            }
        }
    }
    reached
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_tests_need_is_not_listed_and_what_is_needed_has_its_checksum() {
        let metadata = json!({
            "packages": [
                { "id": "a", "name": "bulkhead", "version": "1.0.0", "license": "MIT" },
                { "id": "b", "name": "used", "version": "2.0.0", "license": "MIT/Apache-2.0",
                  "source": "registry" },
                { "id": "c", "name": "testing", "version": "3.0.0", "license": "MIT",
                  "source": "registry" },
            ],
            "resolve": { "nodes": [
                { "id": "a", "deps": [
                    { "pkg": "b", "dep_kinds": [{ "kind": null }] },
                    { "pkg": "c", "dep_kinds": [{ "kind": "dev" }] },
                ]},
                { "id": "b", "deps": [] },
                { "id": "c", "deps": [] },
            ]},
        });
        let lock = "[[package]]\nname = \"used\"\nversion = \"2.0.0\"\nchecksum = \"00ff\"\n";
        let bill = bill(&metadata, &checksums(lock));
        let names: Vec<&str> = list(&bill, "components").iter().map(|c| text(c, "name")).collect();
        assert_eq!(names, ["bulkhead", "used"]);
        let used = &list(&bill, "components")[1];
        assert_eq!(used["hashes"][0]["content"], "00ff");
        assert_eq!(used["licenses"][0]["expression"], "MIT OR Apache-2.0");
    }
}
