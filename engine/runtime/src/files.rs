//! Changes of names in a folder that survive a crash.

use std::fs::File;
use std::io;
use std::path::Path;

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
}
