//! Unpacking the archive of a worker, which is not to be trusted (05.050): nothing lands outside the folder, and no link
//! leads out of it.
//!
//! Why no link leads out: the folders above an entry are real ones, never links; a link's path climbs (`..`) only at its
//! beginning and no higher than the root; and folders are never replaced by links.

use flate2::read::MultiGzDecoder;
use schemars::JsonSchema;
use serde::Deserialize;
use std::fs::{self, File, Permissions};
use std::io::{self, BufReader, Read};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};
use tar::{Archive, Entry, EntryType};
use tempfile::TempDir;

/// What the owner may always do in a folder: a later upload writes into it.
const OWNER: u32 = 0o700;
/// Permissions that are taken over; setuid and the like are not.
const PLAIN: u32 = 0o777;

/// `compress` of the steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum Compression {
    /// `nil`: none.
    #[serde(skip)]
    None,
    #[serde(rename = "gz")]
    Gzip,
    #[serde(rename = "bz2")]
    Bzip2,
}

impl Compression {
    /// As the worker is told.
    pub fn name(self) -> Option<&'static str> {
        match self {
            Compression::None => None,
            Compression::Gzip => Some("gz"),
            Compression::Bzip2 => Some("bz2"),
        }
    }
}

/// Unpacks a tar stream into the empty folder `root`; no more than `max` bytes of it, once it is decompressed. The error
/// names the entry.
pub fn unpack(stream: File, compression: Compression, root: &Path, max: Option<u64>) -> io::Result<()> {
    let stream = BufReader::new(stream);
    let stream: Box<dyn Read> = match compression {
        Compression::None => Box::new(stream),
        Compression::Gzip => Box::new(MultiGzDecoder::new(stream)),
        Compression::Bzip2 => Box::new(bzip2::read::MultiBzDecoder::new(stream)),
    };
    match max {
        None => entries(stream, root),
        Some(max) => entries(Bounded { stream, max, left: max }, root),
    }
}

/// Reads so much; more is an error. A few bytes of a compressed archive may stand for a disk full of zeros.
struct Bounded<R> {
    stream: R,
    max: u64,
    left: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.stream.read(buffer)?;
        self.left = self
            .left
            .checked_sub(read as u64)
            .ok_or_else(|| io::Error::other(format!("it holds more than maxsize ({} bytes)", self.max)))?;
        Ok(read)
    }
}

fn entries(stream: impl Read, root: &Path) -> io::Result<()> {
    let mut archive = Archive::new(stream);
    archive.set_preserve_ownerships(false);
    archive.set_unpack_xattrs(false);
    // Permissions of folders come last: one that must not be written to has to be filled first.
    let mut folders: Vec<(PathBuf, u32)> = Vec::new();
    for entry in archive.entries()? {
        let mut entry = entry?;
        let path = entry.path()?.into_owned();
        let unpacked = one(&mut entry, &path, root, &mut folders);
        unpacked.map_err(|error| {
            io::Error::other(format!("entry '{}' of the archive: {}", path.display(), reasons(&error)))
        })?;
    }
    for (folder, mode) in folders.iter().rev() {
        fs::set_permissions(folder, Permissions::from_mode(mode & PLAIN | OWNER))?;
    }
    Ok(())
}

/// An error with what lies behind it: that of the archive says only which entry it was.
fn reasons(error: &io::Error) -> String {
    let mut text = error.to_string();
    let mut behind = std::error::Error::source(error);
    while let Some(reason) = behind {
        text.push_str(&format!(": {reason}"));
        behind = reason.source();
    }
    text
}

fn one(
    entry: &mut Entry<'_, impl Read>,
    path: &Path,
    root: &Path,
    folders: &mut Vec<(PathBuf, u32)>,
) -> io::Result<()> {
    // Stock workers name the folder itself with nothing but a slash.
    let itself = path == Path::new("/") && entry.header().entry_type() == EntryType::Directory;
    let inside = if itself { PathBuf::new() } else { inside(path)? };
    let target = root.join(&inside);
    match entry.header().entry_type() {
        EntryType::Directory => {
            make_folders(root, &inside)?;
            folders.push((target, entry.header().mode()?));
            Ok(())
        }
        EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
            make_parents(root, &inside)?;
            entry.unpack(&target)?;
            Ok(())
        }
        EntryType::Symlink => {
            make_parents(root, &inside)?;
            let to = link_of(entry)?;
            stays_inside(&inside, &to)?;
            symlink(to, target)
        }
        EntryType::Link => {
            make_parents(root, &inside)?;
            let to = self::inside(&link_of(entry)?)?;
            make_parents(root, &to)?;
            let to = root.join(to);
            match to.symlink_metadata()?.is_file() {
                true => fs::hard_link(to, target),
                false => Err(io::Error::other("a hard link to something that is no file")),
            }
        }
        EntryType::XGlobalHeader => Ok(()),
        _ => Err(io::Error::other("it is neither a file, a folder nor a link")),
    }
}

fn link_of(entry: &Entry<'_, impl Read>) -> io::Result<PathBuf> {
    let link = entry.link_name()?.ok_or_else(|| io::Error::other("a link without a target"))?;
    Ok(link.into_owned())
}

/// The path without `.`; an error if it is absolute or climbs.
fn inside(path: &Path) -> io::Result<PathBuf> {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => plain.push(name),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                return Err(io::Error::other("it lies outside the folder"));
            }
        }
    }
    Ok(plain)
}

/// Whether a link at `path` that holds `to` stays inside, wherever its parts lead.
fn stays_inside(path: &Path, to: &Path) -> io::Result<()> {
    let depth = path.components().count().saturating_sub(1);
    let climbs = to.components().take_while(|part| matches!(part, Component::ParentDir | Component::CurDir));
    let climbs = climbs.filter(|part| *part == Component::ParentDir).count();
    let rest = to.components().filter(|part| *part != Component::CurDir).skip(climbs);
    let plain = rest.clone().all(|part| matches!(part, Component::Normal(_)));
    match plain && climbs <= depth && to.components().next().is_some() {
        true => Ok(()),
        false => {
            Err(io::Error::other(format!("a link to '{}', which may lie outside the folder", to.display())))
        }
    }
}

fn make_parents(root: &Path, inside: &Path) -> io::Result<()> {
    match inside.parent() {
        Some(parent) => make_folders(root, parent),
        None => Err(io::Error::other("it stands for the folder itself")),
    }
}

/// Makes the folders of a path below `root`; a link among them is an error.
fn make_folders(root: &Path, inside: &Path) -> io::Result<()> {
    let mut at = root.to_owned();
    for part in inside.components() {
        at.push(part);
        match at.symlink_metadata() {
            Ok(found) if found.is_dir() => {}
            Ok(_) => return Err(io::Error::other(format!("'{}' is in its way", part.as_os_str().display()))),
            Err(_) => fs::create_dir(&at)?,
        }
    }
    Ok(())
}

/// Makes `target` of the unpacked folder; where it exists already, what is new is laid into it.
pub fn lay(staged: TempDir, target: &Path) -> io::Result<()> {
    if fs::symlink_metadata(target).is_err() {
        if staged.path().metadata()?.permissions().mode() & PLAIN == OWNER {
            // The archive did not say; the folder was made for us alone.
            fs::set_permissions(staged.path(), Permissions::from_mode(0o755))?;
        }
        fs::rename(staged.path(), target)?;
        // It has gone; there is nothing to remove.
        _ = staged.keep();
        return Ok(());
    }
    // The target itself may be a link of whoever keeps the master.
    merge(staged.path(), &fs::canonicalize(target)?)
}

fn merge(from: &Path, to: &Path) -> io::Result<()> {
    if !to.symlink_metadata()?.is_dir() {
        return Err(io::Error::other(format!("'{}' is there already and no folder", to.display())));
    }
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() && target.symlink_metadata().is_ok() {
            merge(&entry.path(), &target)?;
        } else {
            fs::rename(entry.path(), &target)
                .map_err(|error| io::Error::new(error.kind(), format!("'{}': {error}", target.display())))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(add: impl FnOnce(&mut tar::Builder<File>)) -> File {
        let mut builder = tar::Builder::new(tempfile::tempfile().unwrap());
        add(&mut builder);
        let mut file = builder.into_inner().unwrap();
        io::Seek::rewind(&mut file).unwrap();
        file
    }

    /// An entry whose names are written as they are: the builder would refuse bad ones.
    fn raw(builder: &mut tar::Builder<File>, kind: EntryType, name: &str, link: &str) {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(0o7777);
        header.set_size(0);
        let old = header.as_old_mut();
        old.name[..name.len()].copy_from_slice(name.as_bytes());
        old.linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_cksum();
        builder.append(&header, io::empty()).unwrap();
    }

    #[test]
    fn row_06_032_nothing_leads_out_of_the_folder() {
        use EntryType::{Char, Directory, Fifo, Link, Regular, Symlink};
        for (what, entries) in [
            ("lies outside", vec![(Regular, "../out", "")]),
            ("lies outside", vec![(Regular, "a/../../out", "")]),
            ("lies outside", vec![(Regular, "/tmp/out", "")]),
            ("may lie outside", vec![(Symlink, "a", "/etc")]),
            ("may lie outside", vec![(Symlink, "a", "..")]),
            ("may lie outside", vec![(Symlink, "a/b", "../..")]),
            ("may lie outside", vec![(Symlink, "x/y", ".."), (Symlink, "z", "x/y/..")]),
            ("in its way", vec![(Symlink, "a", "b"), (Regular, "a/c", "")]),
            ("in its way", vec![(Directory, "b", ""), (Symlink, "a", "b"), (Directory, "a/c", "")]),
            ("lies outside", vec![(Link, "a", "/etc/passwd")]),
            ("lies outside", vec![(Link, "a", "../x")]),
            ("no file", vec![(Symlink, "l", "b"), (Link, "a", "l")]),
            ("neither", vec![(Char, "null", "")]),
            ("neither", vec![(Fifo, "pipe", "")]),
            ("itself", vec![(Regular, "./", "")]),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let file = archive(|builder| entries.iter().for_each(|(k, n, l)| raw(builder, *k, n, l)));
            let error = unpack(file, Compression::None, dir.path(), None).unwrap_err().to_string();
            assert!(error.contains(what), "{entries:?}: {error}");
        }
    }

    #[test]
    fn row_06_032_files_folders_and_links_inside_are_kept_without_setuid() {
        use EntryType::{Directory, Link, Regular, Symlink};
        let dir = tempfile::tempdir().unwrap();
        let file = archive(|builder| {
            for (kind, name, link) in [
                (Directory, "./", ""),
                (Directory, "/", ""),
                (Directory, "./sub", ""),
                (Regular, "./sub/f", ""),
                (Symlink, "sub/up", "../sub/f"),
                (Symlink, "dangling", "./nowhere"),
                (Link, "hard", "sub/f"),
            ] {
                raw(builder, kind, name, link);
            }
        });
        unpack(file, Compression::None, dir.path(), None).unwrap();
        assert_eq!(fs::read_link(dir.path().join("sub/up")).unwrap(), Path::new("../sub/f"));
        assert!(dir.path().join("dangling").symlink_metadata().unwrap().is_symlink());
        let mode = |name: &str| dir.path().join(name).metadata().unwrap().permissions().mode() & 0o7777;
        assert_eq!((mode("sub"), mode("sub/f"), mode("hard")), (0o777, 0o777, 0o777));
    }

    /// However small the archive is on its way.
    #[test]
    fn row_06_032_maxsize_counts_what_is_unpacked() {
        let plain = archive(|builder| {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(EntryType::Regular);
            header.set_mode(0o644);
            header.set_size(1_000_000);
            builder.append_data(&mut header, "zeros", io::repeat(0).take(1_000_000)).unwrap();
        });
        let mut packed =
            flate2::write::GzEncoder::new(tempfile::tempfile().unwrap(), flate2::Compression::best());
        io::copy(&mut &plain, &mut packed).unwrap();
        let packed = packed.finish().unwrap();
        assert!(packed.metadata().unwrap().len() < 10_000);
        for (max, told) in
            [(None, None), (Some(1_100_000), None), (Some(500_000), Some("maxsize (500000 bytes)"))]
        {
            let dir = tempfile::tempdir().unwrap();
            io::Seek::rewind(&mut &packed).unwrap();
            let done = unpack(packed.try_clone().unwrap(), Compression::Gzip, dir.path(), max);
            match (done, told) {
                (Ok(()), None) => assert_eq!(dir.path().join("zeros").metadata().unwrap().len(), 1_000_000),
                (Err(error), Some(told)) => {
                    let error = error.to_string();
                    assert!(error.contains("'zeros'") && error.contains(told), "{error}");
                }
                other => panic!("{max:?}: {other:?}"),
            }
        }
    }

    #[test]
    fn row_06_032_what_is_new_is_laid_into_a_folder_and_folders_stay_folders() {
        let (there, target) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let root = target.path().join("docs");
        let staged = |make: &dyn Fn(&Path)| {
            let staged = tempfile::tempdir_in(there.path()).unwrap();
            make(staged.path());
            staged
        };
        let write = |path: PathBuf, text: &str| {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        lay(staged(&|dir| write(dir.join("a/old"), "1")), &root).unwrap();
        lay(staged(&|dir| write(dir.join("a/new"), "2")), &root).unwrap();
        assert_eq!(fs::read_to_string(root.join("a/old")).unwrap(), "1");
        assert_eq!(fs::read_to_string(root.join("a/new")).unwrap(), "2");
        let error = lay(staged(&|dir| symlink("x", dir.join("a")).unwrap()), &root).unwrap_err();
        assert!(error.to_string().contains("docs/a"), "{error}");
        let error = lay(staged(&|dir| write(dir.join("a/old/x"), "3")), &root).unwrap_err();
        assert!(error.to_string().contains("no folder"), "{error}");
        symlink("a", root.join("link")).unwrap();
        let error = lay(staged(&|dir| write(dir.join("link/x"), "4")), &root).unwrap_err();
        assert!(error.to_string().contains("no folder"), "{error}");
        assert_eq!(fs::read_dir(there.path()).unwrap().count(), 0);
    }
}
