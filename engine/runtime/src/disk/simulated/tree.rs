//! Folders with names, and files with bytes: what a disk holds at one moment.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use super::image::Image;
use crate::disk::check_path;

/// Number of a file or folder. It stays the same whatever names it gets, and is never given again.
pub(super) type NodeId = u64;

/// The folder that paths start from.
pub(super) const ROOT: NodeId = 0;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Node {
    File(NodeId),
    Folder(NodeId),
}

impl Node {
    pub fn id(self) -> NodeId {
        match self {
            Node::File(id) | Node::Folder(id) => id,
        }
    }
}

/// A change of what a disk holds, or the moment at which earlier ones become durable.
#[derive(Debug, Clone)]
pub(super) enum Operation {
    Write {
        file: NodeId,
        offset: u64,
        data: Arc<[u8]>,
    },
    SetLength {
        file: NodeId,
        bytes: u64,
    },
    Allocate {
        file: NodeId,
        offset: u64,
        bytes: u64,
    },
    /// Changes of one folder's names that happen together or not at all.
    Names {
        folder: NodeId,
        removed: Option<String>,
        added: Option<(String, Node)>,
    },
    /// Makes what was done to a file, or the names of a folder, durable.
    Sync {
        node: NodeId,
    },
    /// A sync of a file that failed: what of the writes reached the medium is drawn from `seed`, and a later sync does
    /// not try the rest again.
    FailedSync {
        file: NodeId,
        seed: u64,
    },
    /// The medium itself changes a byte, which then reads as `value` where it read as `value ^ mask`.
    Rot {
        file: NodeId,
        offset: u64,
        mask: u8,
        value: u8,
    },
}

impl Operation {
    /// The file or folder that it changes.
    pub fn node(&self) -> NodeId {
        match self {
            Operation::Write { file, .. }
            | Operation::SetLength { file, .. }
            | Operation::Allocate { file, .. }
            | Operation::FailedSync { file, .. }
            | Operation::Rot { file, .. } => *file,
            Operation::Names { folder, .. } => *folder,
            Operation::Sync { node } => *node,
        }
    }
}

#[derive(Debug, Clone)]
pub(super) struct Tree {
    pub files: BTreeMap<NodeId, Arc<Image>>,
    pub folders: BTreeMap<NodeId, BTreeMap<String, Node>>,
}

impl Tree {
    pub fn new() -> Tree {
        Tree {
            files: BTreeMap::new(),
            folders: BTreeMap::from([(ROOT, BTreeMap::new())]),
        }
    }

    /// Does what `operation` does to what it holds; those about durability do nothing.
    pub fn apply(&mut self, operation: &Operation) {
        match operation {
            Operation::Write { file, offset, data } => self.file_mut(*file).write(*offset, data),
            Operation::SetLength { file, bytes } => self.file_mut(*file).set_length(*bytes),
            Operation::Allocate { file, offset, bytes } => self.file_mut(*file).allocate(*offset, *bytes),
            Operation::Names {
                folder,
                removed,
                added,
            } => {
                let names = self.folders.entry(*folder).or_default();
                if let Some(name) = removed {
                    names.remove(name);
                }
                if let Some((name, node)) = added {
                    names.insert(name.clone(), *node);
                    match node {
                        Node::File(id) => drop(self.files.entry(*id).or_default()),
                        Node::Folder(id) => drop(self.folders.entry(*id).or_default()),
                    }
                }
            }
            Operation::Rot {
                file, offset, value, ..
            } => self.file_mut(*file).write(*offset, &[*value]),
            Operation::Sync { .. } | Operation::FailedSync { .. } => {}
        }
    }

    pub fn file_mut(&mut self, file: NodeId) -> &mut Image {
        Arc::make_mut(self.files.entry(file).or_default())
    }

    /// The file or folder at `path`; the root is the empty path.
    pub fn find(&self, path: &str) -> io::Result<Node> {
        if path.is_empty() {
            return Ok(Node::Folder(ROOT));
        }
        let (folder, name) = self.find_parent(path)?;
        let node = self.folders[&folder].get(name);
        node.copied().ok_or_else(|| error(io::ErrorKind::NotFound, path))
    }

    pub fn find_folder(&self, path: &str) -> io::Result<NodeId> {
        match self.find(path)? {
            Node::Folder(id) => Ok(id),
            Node::File(_) => Err(error(io::ErrorKind::NotADirectory, path)),
        }
    }

    pub fn find_file(&self, path: &str) -> io::Result<NodeId> {
        check_path(path)?;
        match self.find(path)? {
            Node::File(id) => Ok(id),
            Node::Folder(_) => Err(error(io::ErrorKind::IsADirectory, path)),
        }
    }

    /// The folder that holds `path`, and the name in it, which may be free.
    pub fn find_parent<'path>(&self, path: &'path str) -> io::Result<(NodeId, &'path str)> {
        check_path(path)?;
        let (folders, name) = path.rsplit_once('/').unwrap_or(("", path));
        let mut folder = ROOT;
        for part in folders.split('/').filter(|part| !part.is_empty()) {
            match self.folders[&folder].get(part) {
                Some(Node::Folder(id)) => folder = *id,
                Some(Node::File(_)) => return Err(error(io::ErrorKind::NotADirectory, path)),
                None => return Err(error(io::ErrorKind::NotFound, path)),
            }
        }
        Ok((folder, name))
    }

    /// Files and folders that have a name.
    pub fn reachable(&self) -> BTreeSet<NodeId> {
        let mut found = BTreeSet::from([ROOT]);
        let mut folders = vec![ROOT];
        while let Some(folder) = folders.pop() {
            for node in self.folders.get(&folder).into_iter().flat_map(BTreeMap::values) {
                found.insert(node.id());
                if let Node::Folder(id) = node {
                    folders.push(*id);
                }
            }
        }
        found
    }

    /// Drops the files and folders that `keep` does not name.
    pub fn retain(&mut self, keep: &BTreeSet<NodeId>) {
        self.files.retain(|id, _| keep.contains(id));
        self.folders.retain(|id, _| keep.contains(id));
    }

    /// Every path with the bytes of its file; `None` is a folder.
    pub fn contents(&self) -> BTreeMap<String, Option<Vec<u8>>> {
        let mut found = BTreeMap::new();
        let mut folders = vec![(String::new(), ROOT)];
        while let Some((path, folder)) = folders.pop() {
            for (name, node) in &self.folders[&folder] {
                let path = if path.is_empty() {
                    name.clone()
                } else {
                    format!("{path}/{name}")
                };
                match node {
                    Node::File(id) => drop(found.insert(path, Some(self.files[id].to_vec()))),
                    Node::Folder(id) => {
                        found.insert(path.clone(), None);
                        folders.push((path, *id));
                    }
                }
            }
        }
        found
    }

    pub fn used_bytes(&self) -> u64 {
        self.files.values().map(|file| file.used_bytes()).sum()
    }
}

pub(super) fn error(kind: io::ErrorKind, path: &str) -> io::Error {
    io::Error::new(kind, format!("{path:?}: {kind}"))
}
