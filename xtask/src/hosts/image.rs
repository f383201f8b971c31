//! The disk of a guest: the smallest Debian with its stock kernel, systemd and AppArmor, made once and
//! kept outside of the checkout.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::command::{Done, copy, make_directory, output, run, say, workspace};

/// Where the disks are kept, for the next run and for other checkouts. Root alone makes them.
const CACHE: &str = "/var/cache/bulkhead-hosts";

/// Seconds that fetching and unpacking a Debian may take.
const BUILD_LIMIT: &str = "600";

/// What a guest has besides the smallest Debian: what makes it a host, and the client.
const PACKAGES: &str = "systemd,systemd-sysv,udev,kmod,linux-image-cloud-amd64,initramfs-tools,zstd,\
                        apparmor,libpam-modules,libpam0g,ca-certificates,openssl,curl,procps";

/// Units that a host of an hour does not need.
const MASKED: [&str; 9] = [
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "fstrim.timer",
    "getty@tty1.service",
    "serial-getty@ttyS0.service",
    "systemd-networkd-wait-online.service",
];

/// A release of Debian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Release {
    /// Linux 6.1 with ABI 2 of Landlock, systemd 252, AppArmor 3.0.
    Debian12,
    /// Linux 6.12 with ABI 6 of Landlock, systemd 257, AppArmor 4.1.
    Debian13,
}

impl Release {
    /// Its name in a table.
    pub fn name(self) -> &'static str {
        match self {
            Release::Debian12 => "Debian 12",
            Release::Debian13 => "Debian 13",
        }
    }

    fn suite(self) -> &'static str {
        match self {
            Release::Debian12 => "bookworm",
            Release::Debian13 => "trixie",
        }
    }
}

/// A disk to boot, with its kernel beside it.
#[derive(Debug)]
pub struct Image {
    directory: PathBuf,
}

impl Image {
    fn of(release: Release) -> Image {
        Image { directory: Path::new(CACHE).join(release.suite()) }
    }

    /// The disk, which a guest changes in a copy of its own.
    pub fn disk(&self) -> PathBuf {
        self.directory.join("disk")
    }

    /// The kernel.
    pub fn kernel(&self) -> PathBuf {
        self.directory.join("kernel")
    }

    /// Its first file system.
    pub fn initrd(&self) -> PathBuf {
        self.directory.join("initrd")
    }

    fn recipe(&self) -> PathBuf {
        self.directory.join("recipe")
    }
}

/// Whether there is the image of a release, made as it is made by now.
///
/// # Errors
/// When the files of the recipe cannot be read.
pub fn is_made(release: Release) -> Done<bool> {
    let recipe = recipe()?;
    let image = Image::of(release);
    Ok(fs::read_to_string(image.recipe()).is_ok_and(|of_image| of_image == recipe))
}

/// The image of a release, made if there is none, or if it is made another way by now.
///
/// # Errors
/// When the packages cannot be fetched, or the image cannot be made.
pub fn provide(release: Release) -> Done<Image> {
    let image = Image::of(release);
    if is_made(release)? {
        return Ok(image);
    }
    say(&format!("hosts: making the image of {} in {CACHE}", release.name()))?;
    remove(&image.directory)?;
    make_directory(&image.directory)?;
    let root = image.directory.join("root");
    fetch(release, &root)?;
    furnish(&root)?;
    only_file(&root.join("boot"), "vmlinuz-").and_then(|from| copy(&from, &image.kernel()))?;
    only_file(&root.join("boot"), "initrd.img-").and_then(|from| copy(&from, &image.initrd()))?;
    let mut make = Command::new("mke2fs");
    make.args(["-q", "-t", "ext4", "-O", "^has_journal", "-d"]).arg(&root);
    run(make.arg(image.disk()).arg("2G"))?;
    remove(&root)?;
    write(&image.recipe(), &recipe()?)?;
    Ok(image)
}

/// What an image is made of.
fn recipe() -> Done<String> {
    Ok([
        PACKAGES.to_owned(),
        MASKED.join(" "),
        guest_file("agent.sh")?,
        guest_file("agent.service")?,
    ]
    .join("\n"))
}

/// A file of what guests run.
pub fn guest_file(name: &str) -> Done<String> {
    let path = workspace().join("tests/hosts").join(name);
    fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))
}

fn fetch(release: Release, root: &Path) -> Done<()> {
    let mut debootstrap = Command::new("timeout");
    debootstrap.args(["--kill-after=10", BUILD_LIMIT, "debootstrap", "--variant=minbase"]);
    debootstrap.arg(format!("--include={PACKAGES}")).arg(release.suite()).arg(root);
    output(debootstrap.arg(mirror())).map(|_| ()).map_err(|e| {
        let last: Vec<&str> = e.lines().rev().take(3).collect();
        format!("{} cannot be fetched: {}", release.name(), last.join("; "))
    })
}

/// The mirror that this machine installs from.
fn mirror() -> String {
    let targets = output(Command::new("apt-get").args(["indextargets", "--format=$(REPO_URI)"]));
    let mirror = targets.ok().and_then(|targets| {
        targets
            .lines()
            .find(|line| line.trim_end_matches('/').ends_with("/debian"))
            .map(str::to_owned)
    });
    mirror.unwrap_or_else(|| "http://deb.debian.org/debian".to_owned())
}

/// Makes the guest boot by itself to the agent.
fn furnish(root: &Path) -> Done<()> {
    write(&root.join("etc/fstab"), "/dev/vda / ext4 defaults 0 0\n")?;
    write(&root.join("etc/hostname"), "guest\n")?;
    write(&root.join("etc/hosts"), "127.0.0.1 localhost guest\n::1 localhost\n")?;
    // Three modules are enough to find the disk; all of them take a minute to unpack in emulation.
    write(&root.join("etc/initramfs-tools/conf.d/guest"), "MODULES=list\n")?;
    write(&root.join("etc/initramfs-tools/modules"), "virtio_pci\nvirtio_blk\next4\n")?;
    write(&root.join("usr/local/sbin/agent.sh"), &guest_file("agent.sh")?)?;
    write(&root.join("etc/systemd/system/agent.service"), &guest_file("agent.service")?)?;
    let inside = |script: &str| {
        output(Command::new("chroot").arg(root).args(["sh", "-euc", script])).map(|_| ())
    };
    inside("chmod 755 /usr/local/sbin/agent.sh; update-initramfs -u -k all")?;
    let wanted = root.join("etc/systemd/system/default.target.wants");
    make_directory(&wanted)?;
    std::os::unix::fs::symlink("../agent.service", wanted.join("agent.service"))
        .map_err(|e| e.to_string())?;
    inside(&format!("systemctl mask {}", MASKED.join(" ")))?;
    inside(
        "rm -rf /var/cache/apt/archives/*.deb /var/lib/apt/lists/* /usr/share/doc /usr/share/locale",
    )
}

fn only_file(directory: &Path, prefix: &str) -> Done<PathBuf> {
    let entries = fs::read_dir(directory).map_err(|e| format!("{}: {e}", directory.display()))?;
    entries
        .flatten()
        .map(|entry| entry.path())
        .find(|path| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(prefix))
        })
        .ok_or_else(|| format!("{} has no {prefix}", directory.display()))
}

fn write(path: &Path, text: &str) -> Done<()> {
    fs::write(path, text).map_err(|e| format!("{}: {e}", path.display()))
}

fn remove(directory: &Path) -> Done<()> {
    match fs::remove_dir_all(directory) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(format!("{}: {e}", directory.display()))
        }
        _ => Ok(()),
    }
}
