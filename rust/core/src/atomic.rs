//! Files that appear under their final name only when they are whole.

use std::fs::{self, File};
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use tempfile::TempPath;

use crate::error::{Error, Result};

/// A file being written under a temporary name in the folder of its final one. [`AtomicFile::commit`] renames it;
/// dropped before that, it is removed and whatever stood under the final name is untouched.
///
/// Writes are buffered. [`Write`] and [`Seek`] give plain I/O errors: attach the path with
/// `.map_err(Error::io(file.path()))`.
#[derive(Debug)]
pub struct AtomicFile {
    path: PathBuf,
    /// `path` with symbolic links followed, so that the file behind a link is replaced and not the link.
    target: PathBuf,
    // Not a `NamedTempFile`, which puts the temporary name in the place of the system's error codes.
    file: BufWriter<File>,
    temporary: TempPath,
}

impl AtomicFile {
    /// Starts a file that will be called `path`, with the permissions of the file it replaces or else those of any new file.
    ///
    /// # Errors
    /// [`Error::Io`] when the folder is missing or not writable, or `path` is there and not a regular file.
    pub fn create(path: impl Into<PathBuf>) -> Result<AtomicFile> {
        let path = path.into();
        let (target, replaced) = match fs::metadata(&path) {
            Ok(metadata) if metadata.is_dir() => {
                return Err(refuse(path, io::ErrorKind::IsADirectory, "is a directory"));
            }
            // Renaming over a device or a pipe would remove it.
            Ok(metadata) if !metadata.is_file() => {
                return Err(refuse(
                    path,
                    io::ErrorKind::InvalidInput,
                    "is not a regular file, so it cannot be replaced",
                ));
            }
            Ok(metadata) => (fs::canonicalize(&path).map_err(Error::io(&path))?, Some(metadata.permissions())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => (path.clone(), None),
            Err(source) => return Err(Error::Io { path, source }),
        };
        let folder = match target.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        if !folder.is_dir() {
            return Err(refuse(folder.to_owned(), io::ErrorKind::NotFound, "no such folder"));
        }
        let mut builder = tempfile::Builder::new();
        builder.prefix(".bloomery-").suffix(".tmp");
        new_file_permissions(&mut builder);
        let file = builder.tempfile_in(folder).map_err(|error| Error::io(&path)(error.kind().into()))?;
        let (file, temporary) = file.into_parts();
        if let Some(permissions) = replaced {
            file.set_permissions(permissions).map_err(Error::io(&path))?;
        }
        Ok(AtomicFile { path, target, file: BufWriter::new(file), temporary })
    }

    /// The final name, as given.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Puts the file under its final name, replacing what was there. Its bytes are on the disk by then, so that a loss of
    /// power leaves the old file or the new one.
    ///
    /// # Errors
    /// [`Error::Io`] when the last bytes cannot be written (a full disk) or the rename is refused; the old file stays.
    pub fn commit(self) -> Result<()> {
        let AtomicFile { path, target, file, temporary } = self;
        let file = file.into_inner().map_err(|error| Error::io(&path)(error.into_error()))?;
        file.sync_all().map_err(Error::io(&path))?;
        temporary.persist(target).map_err(|error| Error::io(path)(error.error))?;
        Ok(())
    }
}

/// Writes a whole file atomically.
///
/// # Errors
/// [`Error::Io`] with the path; the old file stays.
pub fn write(path: impl Into<PathBuf>, bytes: &[u8]) -> Result<()> {
    let mut file = AtomicFile::create(path)?;
    file.write_all(bytes).map_err(Error::io(file.path()))?;
    file.commit()
}

fn refuse(path: PathBuf, kind: io::ErrorKind, message: &str) -> Error {
    Error::Io { path, source: io::Error::new(kind, message) }
}

/// Temporary files are private by default; this one will be an ordinary file, so the umask decides.
#[cfg(unix)]
fn new_file_permissions(builder: &mut tempfile::Builder<'_, '_>) {
    use std::os::unix::fs::PermissionsExt;
    builder.permissions(fs::Permissions::from_mode(0o666));
}

#[cfg(not(unix))]
fn new_file_permissions(_builder: &mut tempfile::Builder<'_, '_>) {}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Seek for AtomicFile {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        self.file.seek(position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn the_old_file_stays_until_commit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ids.npy");
        fs::write(&path, "old").unwrap();
        let mut file = AtomicFile::create(&path).unwrap();
        file.write_all(b"new and longer").unwrap();
        file.flush().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"old");
        file.commit().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new and longer");
        assert_eq!(names(folder.path()), ["ids.npy"]);
    }

    #[test]
    fn dropped_before_commit_nothing_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ids.npy");
        let mut file = AtomicFile::create(&path).unwrap();
        file.write_all(&[0; 100_000]).unwrap();
        assert_eq!(names(folder.path()).len(), 1);
        assert!(!path.exists());
        drop(file);
        assert_eq!(names(folder.path()), [""; 0]);
    }

    #[test]
    fn a_header_can_be_written_last() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ids.npy");
        let mut file = AtomicFile::create(&path).unwrap();
        file.write_all(b"....body").unwrap();
        file.seek(SeekFrom::Start(0)).unwrap();
        file.write_all(b"head").unwrap();
        file.commit().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"headbody");
    }

    #[cfg(unix)]
    #[test]
    fn permissions_are_those_of_a_new_file_or_of_the_file_replaced() {
        use std::os::unix::fs::PermissionsExt;
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let folder = tempfile::tempdir().unwrap();
        let (plain, path) = (folder.path().join("plain"), folder.path().join("atomic"));
        fs::write(&plain, "").unwrap();
        write(&path, b"1").unwrap();
        assert_eq!(mode(&path), mode(&plain));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        write(&path, b"2").unwrap();
        assert_eq!(mode(&path), 0o640);
    }

    #[cfg(unix)]
    #[test]
    fn the_file_behind_a_link_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let (real, link) = (folder.path().join("real"), folder.path().join("link"));
        fs::write(&real, "old").unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        write(&link, b"new").unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read(&real).unwrap(), b"new");
    }

    #[test]
    fn errors_name_the_path() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("nowhere");
        let error = AtomicFile::create(missing.join("ids.npy")).unwrap_err().to_string();
        assert_eq!(error, format!("{}: no such folder", missing.display()));
        let error = AtomicFile::create(folder.path()).unwrap_err().to_string();
        assert_eq!(error, format!("{}: is a directory", folder.path().display()));
    }

    #[cfg(unix)]
    #[test]
    fn a_device_is_refused() {
        let error = write("/dev/null", b"").unwrap_err().to_string();
        assert_eq!(error, "/dev/null: is not a regular file, so it cannot be replaced");
    }
}
