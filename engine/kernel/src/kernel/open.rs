//! Making a store, and recovering one.
//!
//! Recovery reads the log from the last checkpoint's redo point and makes every change again that a page has not had yet:
//! a page knows the group that last changed it. The first change of a page behind the redo point is the whole page, so
//! that it does not matter what a crash left of it. There is nothing to undo: what was not durable is in no page. A
//! crash during recovery is only another crash, because recovery changes nothing that it reads its decisions from.

use std::collections::{HashMap, VecDeque};
use std::io;

use rustydb_runtime::disk::{Disk, DiskFile, OpenMode};
use rustydb_runtime::{Clock, Rng};

use super::changes::{LogTotals, Trim};
use super::commit::Space;
use super::control::{Control, ControlFile};
use super::progress::{OpenPhase, OpenProgress};
use super::redo::Redo;
use super::{Committer, DIRECTORY, GRAVEYARD, Inner, Published};
use crate::error::{KernelError, Result};
use crate::group::{Allocator, Group};
use crate::ids::{Lsn, PageId, TablespaceId, Ts};
use crate::pool::{LogGate, Pool};
use crate::space::{PageFiles, PageFilesOptions};
use crate::sync::atomic::{AtomicBool, AtomicUsize};
use crate::sync::{Arc, Mutex, RwLock};
use crate::tree::read::Scan;
use crate::wal::{Wal, WalOptions, WalPosition, WalSetup};

/// How to open a store.
#[derive(Debug, Clone)]
pub struct KernelOptions {
    /// Memory of the buffer pool, in bytes.
    pub pool_bytes: u64,
    pub wal: WalOptions,
    pub files: PageFilesOptions,
    /// A checkpoint is due once the log has grown by so many bytes since the last.
    pub checkpoint_bytes: u64,
    /// Whether a thread of the store's own takes checkpoints, writes dirty pages and takes room back. Without it,
    /// that is the caller's ([`super::Kernel::step`]).
    pub background: bool,
    /// Whether a commit may be answered before it is durable, by who asks for that. A thread of the store's own then syncs what
    /// nobody waits for ([`super::Kernel::sync_soon`]).
    pub async_commits: bool,
    /// Says how far the opening is.
    pub progress: OpenProgress,
}

/// What a recovery found and did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecoveryInfo {
    pub began_at_us: i64,
    /// Until everything was made again and durable.
    pub duration_us: u64,
    /// Where the log was read from.
    pub redo: Lsn,
    /// Where the log ended.
    pub end: Lsn,
    /// Groups that were read.
    pub groups: u64,
    /// Changes of pages that were made again; one that a page had already is none.
    pub pages: u64,
}

impl Default for KernelOptions {
    fn default() -> Self {
        KernelOptions {
            pool_bytes: 256 << 20,
            wal: WalOptions::default(),
            files: PageFilesOptions::default(),
            checkpoint_bytes: 256 << 20,
            background: true,
            async_commits: false,
            progress: OpenProgress::default(),
        }
    }
}

impl KernelOptions {
    /// Frames of the buffer pool.
    pub(super) fn pool_frames(&self) -> usize {
        usize::try_from(self.pool_bytes / crate::page::PAGE_BYTES as u64).unwrap_or(usize::MAX)
    }
}

/// Frames of a pool until the store's own thread has made it larger: 16 MiB.
const FRAMES_AT_START: usize = 2048;
/// Pages that recovery has in memory at least, as a part of the pool's frames.
const AT_HAND_PART: usize = 8;
/// Name of the control file.
const CONTROL: &str = "control";
/// Name of the file that is locked while the store is open.
const LOCK: &str = "lock";
/// Ending of the control file of a store that is being made.
const UNFINISHED: &str = ".new";

/// The log as the pool sees it, which is made before the log is.
struct Gate {
    wal: RwLock<Option<Wal>>,
}

impl LogGate for Gate {
    fn durable(&self) -> Lsn {
        // What recovery reads is durable.
        self.wal.read().as_ref().map_or(Lsn(u64::MAX), Wal::durable)
    }

    fn sync_to(&self, end: Lsn) -> Result<()> {
        match self.wal.read().clone() {
            None => Ok(()),
            Some(wal) => wal.sync_to(end),
        }
    }
}

pub(super) fn open(
    disk: Arc<dyn Disk>,
    folder: &str,
    clock: Arc<dyn Clock>,
    rng: &dyn Rng,
    options: KernelOptions,
) -> Result<(Inner, Arc<dyn DiskFile>)> {
    disk.create_folder(folder)
        .map_err(|error| KernelError::io(format!("making {folder}"), &error))?;
    let lock = lock(&*disk, folder)?;
    let listed = disk
        .list(folder)
        .map_err(|error| KernelError::io(format!("listing {folder}"), &error))?;
    let progress = options.progress.clone();
    let inner = match listed.iter().any(|entry| entry.name == CONTROL) {
        true => recover(disk, folder, clock, options)?,
        false => create(disk, folder, clock, rng, options)?,
    };
    progress.reach(OpenPhase::Open);
    Ok((inner, lock))
}

/// Keeps other processes out for as long as the file is open.
fn lock(disk: &dyn Disk, folder: &str) -> Result<Arc<dyn DiskFile>> {
    let path = format!("{folder}/{LOCK}");
    let failed = |error: io::Error| KernelError::io(format!("locking {path}"), &error);
    let file = match disk.open(&path, OpenMode::New) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => disk.open(&path, OpenMode::Existing),
        made => made,
    };
    let file = file.map_err(failed)?;
    file.lock().map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => KernelError::Io {
            what: path.clone(),
            reason: "another process has the store open; stop it, or choose another data directory"
                .to_owned(),
        },
        _ => failed(error),
    })?;
    Ok(file)
}

fn setup(
    disk: &Arc<dyn Disk>,
    folder: &str,
    clock: &Arc<dyn Clock>,
    epoch: u64,
    options: &KernelOptions,
) -> WalSetup {
    WalSetup {
        disk: Arc::clone(disk),
        clock: Arc::clone(clock),
        folder: format!("{folder}/wal"),
        epoch,
        options: options.wal,
        events: None,
        progress: options.progress.replay(),
    }
}

fn page_files(
    disk: &Arc<dyn Disk>,
    folder: &str,
    clock: &Arc<dyn Clock>,
    options: &KernelOptions,
) -> Result<Arc<PageFiles>> {
    let folder = format!("{folder}/tablespaces");
    PageFiles::open(Arc::clone(disk), &folder, Arc::clone(clock), options.files).map(Arc::new)
}

fn pool(files: &Arc<PageFiles>, options: &KernelOptions) -> (Pool, Arc<Gate>) {
    let gate = Arc::new(Gate {
        wal: RwLock::new(None),
    });
    let frames = options.pool_frames();
    // Memory that is touched for the first time is slow to have: a store with a thread of its own opens with a part.
    let begun = if options.background {
        frames.min(FRAMES_AT_START)
    } else {
        frames
    };
    let pool = Pool::new(begun, files.clone(), gate.clone());
    (pool, gate)
}

/// Makes a store. Only the control file's name, which is made last, makes the folder a store: what a crash leaves before
/// is removed.
fn create(
    disk: Arc<dyn Disk>,
    folder: &str,
    clock: Arc<dyn Clock>,
    rng: &dyn Rng,
    options: KernelOptions,
) -> Result<Inner> {
    remove_all(&*disk, folder)?;
    let mut epoch = [0; 8];
    rng.fill(&mut epoch);
    let epoch = u64::from_le_bytes(epoch);
    let wal = Wal::create(setup(&disk, folder, &clock, epoch, &options), Ts(0))?;
    let files = page_files(&disk, folder, &clock, &options)?;
    files.create_tablespace(TablespaceId::MAIN)?;
    let (pool, gate) = pool(&files, &options);
    *gate.wal.write() = Some(wal.clone());
    let began = (clock.now_us(), clock.now_mono_us());
    let control = Control {
        sequence: 1,
        epoch,
        redo: wal.position(),
        totals: LogTotals::default(),
        trimmed: Trim::default(),
        checkpoint_at_us: clock.now_us(),
        created_at_us: clock.now_us(),
    };
    let path = format!("{folder}/{CONTROL}");
    let unfinished = format!("{path}{UNFINISHED}");
    let file = ControlFile::create(&*disk, unfinished.clone(), control)?;
    let mut inner = assemble(options, clock, pool, files, wal, file, control);
    {
        let mut committer = inner.committer.lock();
        let mut group = Group::new(&inner.pool, &inner, Lsn(0), Ts(0), Ts(0), HashMap::new());
        group.format_tablespace(TablespaceId::MAIN, 0, u32::MAX)?;
        for tree in [DIRECTORY, GRAVEYARD] {
            let root = group.allocate(TablespaceId::MAIN)?;
            assert_eq!(root, tree.root, "a new tablespace gives its pages out in order");
            group.create_tree(tree)?;
        }
        let body = system_body(&inner, &committer);
        let published = *inner.published.read();
        inner.install(&mut committer, group, body, published)?;
    }
    inner.checkpoint()?;
    let named = disk
        .rename(&unfinished, &path)
        .and_then(|()| disk.sync_folder(folder));
    named.map_err(|error| KernelError::io(format!("naming {path}"), &error))?;
    inner.recovery = recovery(&inner, began, control.redo.lsn, 0, 0);
    Ok(inner)
}

/// What a recovery that `began` then has done by now.
fn recovery(inner: &Inner, began: (i64, u64), redo: Lsn, groups: u64, pages: u64) -> RecoveryInfo {
    RecoveryInfo {
        began_at_us: began.0,
        duration_us: inner.clock.now_mono_us().saturating_sub(began.1),
        redo,
        end: inner.wal.end(),
        groups,
        pages,
    }
}

/// The first part of the body of a group that is no commit.
pub(super) fn system_body(inner: &Inner, committer: &Committer) -> Vec<u8> {
    let mut body = Vec::new();
    super::changes::encode(inner.clock.now_us(), committer.totals, None, &[], &mut body);
    body
}

/// Removes what an unfinished creation left in the folder.
fn remove_all(disk: &dyn Disk, folder: &str) -> Result<()> {
    let failed = |error: io::Error| KernelError::io(format!("clearing {folder}"), &error);
    for entry in disk.list(folder).map_err(failed)? {
        let path = format!("{folder}/{}", entry.name);
        if entry.name == LOCK {
            continue;
        }
        if entry.is_folder {
            remove_all(disk, &path)?;
            disk.remove_folder(&path).map_err(failed)?;
        } else {
            disk.remove_file(&path).map_err(failed)?;
        }
    }
    Ok(())
}

fn recover(
    disk: Arc<dyn Disk>,
    folder: &str,
    clock: Arc<dyn Clock>,
    options: KernelOptions,
) -> Result<Inner> {
    let began = (clock.now_us(), clock.now_mono_us());
    let file = ControlFile::open(&*disk, format!("{folder}/{CONTROL}"))?;
    let control = file.newest();
    let files = page_files(&disk, folder, &clock, &options)?;
    let (pool, gate) = pool(&files, &options);
    let state = Published {
        ts: control.redo.ts,
        totals: control.totals,
        trimmed: control.trimmed,
    };
    let mut redo = Redo::new(&files, pages_at_hand(&pool, &options), state);
    let setup = setup(&disk, folder, &clock, control.epoch, &options);
    options.progress.reach(OpenPhase::Replaying);
    let wal = Wal::open(setup, control.redo, &mut |group| redo.group(group))?;
    options.progress.reach(OpenPhase::Writing);
    redo.finish()?;
    let (state, groups, pages) = (redo.state, redo.groups, redo.pages);
    *gate.wal.write() = Some(wal.clone());
    let mut inner = assemble(options, clock, pool, files, wal, file, control);
    *inner.published.write() = state;
    {
        let mut committer = inner.committer.lock();
        committer.applied = state.ts;
        committer.totals = state.totals;
        committer.trimmed = state.trimmed;
    }
    inner.load_registry()?;
    inner.checkpoint()?;
    inner.load_trees()?;
    inner.recovery = recovery(&inner, began, control.redo.lsn, groups, pages);
    Ok(inner)
}

/// Pages that recovery may have in memory: as many as the pool has no frames for yet, or a part of what a pool has that is made
/// whole at once.
fn pages_at_hand(pool: &Pool, options: &KernelOptions) -> usize {
    let frames = options.pool_frames();
    frames.saturating_sub(pool.frames()).max(frames / AT_HAND_PART)
}

fn assemble(
    options: KernelOptions,
    clock: Arc<dyn Clock>,
    pool: Pool,
    files: Arc<PageFiles>,
    wal: Wal,
    control: ControlFile,
    begun: Control,
) -> Inner {
    let published = Published {
        ts: begun.redo.ts,
        totals: begun.totals,
        trimmed: begun.trimmed,
    };
    Inner {
        pool_frames: AtomicUsize::new(options.pool_frames()),
        options,
        clock,
        closed: AtomicBool::new(false),
        half_installed: AtomicBool::new(false),
        pool,
        files,
        wal,
        control,
        epoch: begun.epoch,
        committer: Mutex::new(Committer {
            applied: published.ts,
            totals: published.totals,
            trimmed: published.trimmed,
            images_before: begun.redo.lsn,
            hints: HashMap::new(),
            spaces: HashMap::new(),
        }),
        checkpointing: Mutex::new(()),
        pending: Mutex::new(VecDeque::new()),
        unwaited: Default::default(),
        published: RwLock::new(published),
        on_publish: RwLock::new(None),
        snapshots: Default::default(),
        emptied: Default::default(),
        trees: RwLock::new(HashMap::new()),
        poison: Mutex::new(None),
        cramped: Default::default(),
        registry: Default::default(),
        staged: Default::default(),
        listener: Default::default(),
        recovery: RecoveryInfo {
            began_at_us: 0,
            duration_us: 0,
            redo: begun.redo.lsn,
            end: begun.redo.lsn,
            groups: 0,
            pages: 0,
        },
    }
}

impl Inner {
    /// Learns where the trees are.
    fn load_trees(&self) -> Result<()> {
        let ts = self.published.read().ts;
        let mut scan = Scan::new(&self.pool, DIRECTORY, ts, &[], None);
        let mut trees = self.trees.write();
        while let Some((key, version)) = scan.next_entry()? {
            let corrupt = |_| KernelError::misshapen(DIRECTORY.root, "key of the directory");
            let space = u64::from_be_bytes(key.as_slice().try_into().map_err(corrupt)?);
            trees.insert(space, (Space::parse(&version.value)?.tree(space), ts));
        }
        Ok(())
    }

    /// Where the log is now and what it tells up to there.
    pub(super) fn position(committer: &Committer, wal: &Wal) -> (WalPosition, Published) {
        let published = Published {
            ts: committer.applied,
            totals: committer.totals,
            trimmed: committer.trimmed,
        };
        (wal.position(), published)
    }
}

impl Allocator for Inner {
    fn ensure(&self, tablespace: TablespaceId, pages: u32) -> Result<()> {
        let grown = match pages.checked_sub(1) {
            Some(last) => self.files.ensure(PageId::new(tablespace, last)),
            None => Ok(()),
        };
        // Commits need the main tablespace only.
        if let Err(error) = &grown
            && tablespace == TablespaceId::MAIN
        {
            self.cramped.lock().pages = Some(error.to_string());
        }
        grown
    }
}
