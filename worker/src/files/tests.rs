//! The calls against a real directory. The symbolic links that lead out of it must lead nowhere.

use std::{
    fs,
    os::{
        fd::OwnedFd,
        unix::fs::{PermissionsExt, symlink},
    },
    path::Path,
};

use super::*;
use crate::ftp::path::VirtualPath;

struct Scratch {
    directory: tempfile::TempDir,
    root: Root,
}

/// A root with a file `secret` beside it, outside.
fn scratch() -> Scratch {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("root")).unwrap();
    fs::write(directory.path().join("secret"), "outside").unwrap();
    let fd = OwnedFd::from(fs::File::open(directory.path().join("root")).unwrap());
    Scratch { root: Root::new(fd), directory }
}

impl Scratch {
    fn inside(&self, name: &str) -> std::path::PathBuf {
        self.directory.path().join("root").join(name)
    }
    fn outside(&self) -> &Path {
        self.directory.path()
    }
}

fn path(text: &str) -> VirtualPath {
    VirtualPath::root().join(text.as_bytes()).unwrap()
}

#[test]
fn files_are_opened_made_and_not_truncated() {
    let scratch = scratch();
    fs::write(scratch.inside("f"), "contents").unwrap();
    let (_, metadata) = scratch.root.open_read(&path("f")).unwrap();
    assert_eq!((metadata.size, metadata.kind), (8, FileKind::Regular));
    let (file, _) = scratch.root.open_write(&path("f")).unwrap();
    assert_eq!(fs::read(scratch.inside("f")).unwrap(), b"contents");
    set_length(&file, 3).unwrap();
    sync(&file).unwrap();
    assert_eq!(open_metadata(&file).unwrap().size, 3);
    scratch.root.create(&path("new"), 0o7640, false).unwrap();
    let mode = fs::metadata(scratch.inside("new")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7137, 0, "{mode:o}");
    assert_eq!(scratch.root.create(&path("new"), 0o600, false).unwrap_err(), FileError::Exists);
    assert_eq!(scratch.root.open_read(&path("none")).unwrap_err(), FileError::NotFound);
    assert_eq!(scratch.root.open_read(&path("f/x")).unwrap_err(), FileError::NotDirectory);
    assert_eq!(scratch.root.open_read(&path("/")).unwrap_err(), FileError::IsDirectory);
    assert_eq!(scratch.root.create(&path("/"), 0o600, false).unwrap_err(), FileError::IsDirectory);
}

#[test]
fn a_fifo_or_socket_is_refused_and_hangs_nothing() {
    let scratch = scratch();
    let directory = fs::File::open(scratch.inside("")).unwrap();
    rustix::fs::mkfifoat(&directory, "fifo", rustix::fs::Mode::RWXU).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(scratch.inside("socket")).unwrap();
    for name in ["fifo", "socket"] {
        assert_eq!(scratch.root.open_read(&path(name)).unwrap_err(), FileError::NotRegular);
        assert_eq!(scratch.root.open_write(&path(name)).unwrap_err(), FileError::NotRegular);
    }
}

#[test]
fn no_link_leads_out_of_the_root() {
    let scratch = scratch();
    symlink("../secret", scratch.inside("relative")).unwrap();
    symlink(scratch.outside().join("secret"), scratch.inside("absolute")).unwrap();
    symlink("..", scratch.inside("up")).unwrap();
    symlink("/proc/self/root", scratch.inside("magic")).unwrap();
    for name in ["relative", "absolute", "up/secret", "magic", "magic/etc"] {
        assert_eq!(scratch.root.open_read(&path(name)).unwrap_err(), FileError::Beneath, "{name}");
        assert_eq!(scratch.root.open_write(&path(name)).unwrap_err(), FileError::Beneath);
        assert_eq!(scratch.root.metadata(&path(name)).unwrap_err(), FileError::Beneath);
        assert_eq!(scratch.root.change_mode(&path(name), 0o777).unwrap_err(), FileError::Beneath);
        let changed = scratch.root.change_times(&path(name), None, Some(0));
        assert_eq!(changed.unwrap_err(), FileError::Beneath);
    }
    assert_eq!(scratch.root.delete(&path("up/secret")).unwrap_err(), FileError::Beneath);
    assert_eq!(scratch.root.make_directory(&path("up/d"), 0o777).unwrap_err(), FileError::Beneath);
    assert_eq!(scratch.root.create(&path("up/f"), 0o777, false).unwrap_err(), FileError::Beneath);
    assert_eq!(
        scratch.root.create(&path("relative"), 0o777, false).unwrap_err(),
        FileError::Exists
    );
    let moved = scratch.root.rename(&path("relative"), &path("up/stolen"), Replace::Allowed);
    assert_eq!(moved.unwrap_err(), FileError::Beneath);
    assert_eq!(scratch.root.enter(&path("up")).unwrap_err(), FileError::Beneath);
    assert_eq!(fs::read(scratch.outside().join("secret")).unwrap(), b"outside");
    // The link itself can be looked at and deleted.
    assert_eq!(scratch.root.link_metadata(&path("up")).unwrap().kind, FileKind::Symlink);
    assert_eq!(scratch.root.read_link(&path("up")).unwrap(), b"..");
    scratch.root.delete(&path("up")).unwrap();
}

#[test]
fn links_within_the_root_are_followed() {
    let scratch = scratch();
    fs::create_dir(scratch.inside("d")).unwrap();
    fs::write(scratch.inside("d/f"), "x").unwrap();
    scratch.root.make_symlink(b"d/../d/f", &path("link")).unwrap();
    assert_eq!(scratch.root.open_read(&path("link")).unwrap().1.size, 1);
    scratch.root.change_mode(&path("link"), 0o6700).unwrap();
    let mode = fs::metadata(scratch.inside("d/f")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o700);
    symlink("loop", scratch.inside("loop")).unwrap();
    assert_eq!(scratch.root.metadata(&path("loop")).unwrap_err(), FileError::LinkLoop);
}

#[test]
fn directories_are_made_read_and_removed() {
    let scratch = scratch();
    scratch.root.make_directory(&path("d"), 0o755).unwrap();
    assert_eq!(scratch.root.make_directory(&path("d"), 0o755).unwrap_err(), FileError::Exists);
    assert_eq!(scratch.root.make_directory(&path("/"), 0o755).unwrap_err(), FileError::Exists);
    let mut names: Vec<String> = (0..3000).map(|n| format!("file-{n:05}")).collect();
    names.iter().for_each(|name| fs::write(scratch.inside("d").join(name), "").unwrap());
    symlink("target", scratch.inside("d/link")).unwrap();
    let directory = scratch.root.open_directory(&path("d")).unwrap();
    let (mut buffer, mut seen, mut calls) = (DirectoryBuffer::new(), Vec::new(), 0);
    let mut target = Vec::new();
    while directory
        .read_some::<FileError>(&mut buffer, |entry| {
            let metadata = entry.metadata()?.unwrap();
            if metadata.kind == FileKind::Symlink {
                entry.target(&mut target);
                assert_eq!(target, b"target");
            } else {
                seen.push(String::from_utf8(entry.name().to_vec()).unwrap());
            }
            Ok(())
        })
        .unwrap()
    {
        calls += 1;
    }
    seen.sort();
    names.sort();
    assert_eq!(seen, names);
    assert!(calls > 1, "the directory came at once: the buffer is not bounded");
    assert!(directory.metadata().unwrap().is_directory());
    assert_eq!(scratch.root.remove_directory(&path("d")).unwrap_err(), FileError::NotEmpty);
    assert_eq!(scratch.root.delete(&path("d")).unwrap_err(), FileError::IsDirectory);
    fs::remove_dir_all(scratch.inside("d")).unwrap();
    scratch.root.make_directory(&path("e"), 0o755).unwrap();
    scratch.root.enter(&path("e")).unwrap();
    scratch.root.remove_directory(&path("e")).unwrap();
    assert_eq!(scratch.root.enter(&path("e")).unwrap_err(), FileError::NotFound);
    assert_eq!(scratch.root.remove_directory(&path("/")).unwrap_err(), FileError::Root);
    assert_eq!(scratch.root.delete(&path("/")).unwrap_err(), FileError::IsDirectory);
}

#[test]
fn renaming_replaces_only_when_allowed() {
    let scratch = scratch();
    fs::write(scratch.inside("a"), "a").unwrap();
    fs::write(scratch.inside("b"), "b").unwrap();
    let rename = |replace| scratch.root.rename(&path("a"), &path("b"), replace);
    assert_eq!(rename(Replace::Never).unwrap_err(), FileError::Exists);
    rename(Replace::Allowed).unwrap();
    assert_eq!(fs::read(scratch.inside("b")).unwrap(), b"a");
    assert_eq!(rename(Replace::Allowed).unwrap_err(), FileError::NotFound);
}

#[test]
fn times_are_set_and_space_is_told() {
    let scratch = scratch();
    fs::write(scratch.inside("f"), "a").unwrap();
    scratch.root.change_times(&path("f"), None, Some(951_782_400)).unwrap();
    assert_eq!(scratch.root.metadata(&path("f")).unwrap().modified, 951_782_400);
    let space = scratch.root.space(&path("f")).unwrap();
    assert!(space.total > 0 && space.available <= space.total);
}

#[test]
fn bytes_move_between_files_sockets_and_pipes() {
    let scratch = scratch();
    let (near, far) = std::os::unix::net::UnixStream::pair().unwrap();
    near.set_nonblocking(true).unwrap();
    far.set_nonblocking(true).unwrap();
    fs::write(scratch.inside("from"), "0123456789").unwrap();
    let (from, _) = scratch.root.open_read(&path("from")).unwrap();
    let mut offset = 2;
    assert_eq!(send_file(&near, &from, &mut offset, 5), Ok(Moved::Bytes(5)));
    assert_eq!(offset, 7);
    let pipe = Pipe::new(1 << 20).unwrap();
    assert!(pipe.capacity() >= 4096);
    assert_eq!(splice_from(&far, &pipe, 100), Ok(Moved::Bytes(5)));
    assert_eq!(splice_from(&far, &pipe, 100), Ok(Moved::WouldBlock));
    let to = scratch.root.create(&path("to"), 0o600, false).unwrap();
    let mut written = 1;
    assert_eq!(splice_to(&pipe, &to, &mut written, 5), Ok(Moved::Bytes(5)));
    assert_eq!(fs::read(scratch.inside("to")).unwrap(), b"\x0023456");
    offset = 10;
    assert_eq!(send_file(&near, &from, &mut offset, 5), Ok(Moved::End));
    let (mut from_offset, mut to_offset) = (0, 6);
    let copied = copy_range(&from, &mut from_offset, &to, &mut to_offset, 2);
    assert_eq!(copied, Ok(Moved::Bytes(2)));
    assert_eq!(fs::read(scratch.inside("to")).unwrap(), b"\x002345601");
    drop(near);
    assert_eq!(splice_from(&far, &pipe, 100), Ok(Moved::End));
    let (near, far) = std::os::unix::net::UnixStream::pair().unwrap();
    drop(far);
    offset = 0;
    assert_eq!(send_file(&near, &from, &mut offset, 5), Ok(Moved::Gone));
}
