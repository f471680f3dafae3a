//! Files whose names and content survive a crash, and files that nobody else may read.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// Ending of a private file that is being written.
const UNFINISHED: &str = ".new";

/// Removes the file `path`.
pub fn remove(path: &Path) -> io::Result<()> {
    std::fs::remove_file(path)
}

/// Gives the file `from` the name `to` and returns once the new name is durable. Both names must be in the same
/// file system; the file's content is the caller's to sync.
pub fn rename_durably(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::rename(from, to)?;
    sync_folder_of(to)
}

/// Makes the folder `path`, and those above it, for their owner only (mode 0700). One that is there stays as it is.
pub fn create_private_folder(path: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// Makes the file `path` that only its owner may read or write (mode 0600), and returns once its content and its
/// name are durable. Whoever opens `path` finds no file or the whole one. A file of that name is replaced.
pub fn create_private(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(UNFINISHED);
    let unfinished = PathBuf::from(unfinished);
    // What a crash left behind, possibly with another mode.
    match remove(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&unfinished)?;
    file.write_all(content)?;
    file.sync_all()?;
    drop(file);
    rename_durably(&unfinished, path)
}

/// Content of a file that only its owner may read, at most `bytes_max` of it.
///
/// Refuses with `PermissionDenied` a file that its group or the world may read or write: the secret in it is none.
pub fn read_private(path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    #[cfg(unix)]
    {
        let mode = std::os::unix::fs::PermissionsExt::mode(&file.metadata()?.permissions()) & 0o7777;
        if mode & 0o077 != 0 {
            let path = path.display();
            return Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                format!(
                    "mode {mode:04o} lets others at it: run `chmod 600 {path}`, or remove the file when \
                     somebody may have read it, so that a new one is made"
                ),
            ));
        }
    }
    let mut content = Vec::new();
    file.take(bytes_max).read_to_end(&mut content)?;
    Ok(content)
}

/// Sum of the lengths of all files in the folder `path` and the folders in it. Links are not followed, and a file
/// that goes away meanwhile does not count.
pub fn folder_bytes(path: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    let mut folders = vec![path.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = match std::fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && folder != path => continue,
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            match entry.metadata() {
                Ok(found) if found.is_dir() => folders.push(entry.path()),
                Ok(found) if found.is_file() => bytes += found.len(),
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
    }
    Ok(bytes)
}

/// Makes the names in the folder that holds `path` durable.
fn sync_folder_of(path: &Path) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    if cfg!(windows) {
        // A folder can't be opened for syncing there; NTFS journals the rename itself.
        return Ok(());
    }
    File::open(folder)?.sync_all()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_renamed_file_keeps_its_content_and_loses_its_old_name() {
        let folder = std::env::temp_dir().join(format!("rustydb-rename-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let (old, new) = (folder.join("old"), folder.join("new"));
        std::fs::write(&old, b"content").unwrap();
        rename_durably(&old, &new).unwrap();
        assert!(!old.exists());
        assert_eq!(std::fs::read(&new).unwrap(), b"content");
        remove(&new).unwrap();
        std::fs::remove_dir(&folder).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn a_private_file_is_for_its_owner_alone_and_refused_otherwise() {
        use std::os::unix::fs::PermissionsExt;
        let folder = std::env::temp_dir().join(format!("rustydb-private-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("secret");
        std::fs::write(folder.join("secret.new"), b"left by a crash").unwrap();
        create_private(&path, b"a secret").unwrap();
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777,
            0o600
        );
        assert!(!folder.join("secret.new").exists());
        assert_eq!(read_private(&path, 100).unwrap(), b"a secret");
        assert_eq!(read_private(&path, 3).unwrap(), b"a s");
        for mode in [0o640, 0o604, 0o620, 0o602] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let refused = read_private(&path, 100).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::PermissionDenied);
            let (text, remedy) = (refused.to_string(), format!("chmod 600 {}", path.display()));
            assert!(
                text.contains(&remedy) && text.contains(&format!("{mode:04o}")),
                "{text}"
            );
        }
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn the_size_of_a_folder_counts_files_in_folders_within() {
        let folder = std::env::temp_dir().join(format!("rustydb-size-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("within")).unwrap();
        assert_eq!(folder_bytes(&folder).unwrap(), 0);
        std::fs::write(folder.join("a"), vec![0; 100]).unwrap();
        std::fs::write(folder.join("within/b"), vec![0; 23]).unwrap();
        assert_eq!(folder_bytes(&folder).unwrap(), 123);
        std::fs::remove_dir_all(&folder).unwrap();
        assert!(folder_bytes(&folder).is_err());
    }
}
