//! Tablespaces.

use rustydb_contract::{ServiceResult, Timestamp};
use rustydb_contract_storage::{
    StorageCreateTablespaceInput, StorageListTablespacesInput, StorageUpdateTablespaceInput, Tablespace,
    TablespaceKind, TablespaceList, TablespaceState,
};
use rustydb_kernel::ids::TablespaceId;
use rustydb_kernel::kernel::{self, Kernel, TablespaceDef};
use rustydb_kernel::page::PAGE_BYTES;

use super::errors::refused;
use super::{page_of_numbers, tablespace_id};
use crate::identity::error::invalid_argument;

/// Name of the list in cursors.
const TABLESPACES: &str = "tablespaces";
/// Pages that a tablespace has at first unless told: the step by which it grows.
const PAGES_DEFAULT: u32 = 64;
/// Pages that a tablespace may grow to unless told: 1 GiB.
const PAGES_MAX_DEFAULT: u32 = 131_072;

pub(super) fn list(kernel: &Kernel, input: StorageListTablespacesInput) -> ServiceResult<TablespaceList> {
    let page = page_of_numbers(TABLESPACES, input.limit, input.after, |from, items_max| {
        let mut tablespaces = kernel.tablespaces().map_err(refused)?;
        tablespaces.retain(|tablespace| u32::from(tablespace.id.0) >= from);
        tablespaces.truncate(items_max);
        Ok(tablespaces
            .into_iter()
            .map(|tablespace| (u32::from(tablespace.id.0), tablespace))
            .collect())
    })?;
    Ok(TablespaceList {
        tablespaces: page.items.into_iter().map(shown).collect(),
        next: page.next,
    })
}

pub(super) fn create(kernel: &Kernel, input: StorageCreateTablespaceInput) -> ServiceResult<Tablespace> {
    let pages_max = input.pages_max.unwrap_or(PAGES_MAX_DEFAULT);
    let pages = input.pages.unwrap_or(PAGES_DEFAULT.min(pages_max));
    if pages_max < pages {
        let message = format!("pages_max: a tablespace of {pages} pages can't be limited to {pages_max}");
        return Err(invalid_argument(
            "pages_max",
            format!("{message}; give {pages} or more, or fewer `pages`"),
        ));
    }
    let made = kernel.create_tablespace(&input.name, pages, pages_max);
    made.map(shown).map_err(refused)
}

pub(super) fn update(kernel: &Kernel, input: StorageUpdateTablespaceInput) -> ServiceResult<Tablespace> {
    let state = match input.state {
        None => None,
        Some(TablespaceState::Online) => Some(kernel::TablespaceState::Online),
        Some(TablespaceState::ReadOnly) => Some(kernel::TablespaceState::ReadOnly),
        Some(TablespaceState::Unrecognized(text)) => {
            return Err(invalid_argument(
                "state",
                format!("state: {text:?} is neither online nor read_only"),
            ));
        }
    };
    let id = tablespace_id("id", input.id)?;
    let changed = kernel.alter_tablespace(id, input.pages_max, state);
    changed.map(shown).map_err(refused)
}

pub(super) fn drop(kernel: &Kernel, id: u32) -> ServiceResult<()> {
    let id = tablespace_id("id", id)?;
    kernel.drop_tablespace(id).map_err(refused)
}

/// The tablespace of a list of pages.
pub(super) fn named_or_main(id: Option<u32>) -> ServiceResult<TablespaceId> {
    tablespace_id("tablespace", id.unwrap_or(0))
}

fn shown(tablespace: TablespaceDef) -> Tablespace {
    Tablespace {
        id: u32::from(tablespace.id.0),
        name: tablespace.name,
        kind: match tablespace.kind {
            kernel::TablespaceKind::System => TablespaceKind::System,
            kernel::TablespaceKind::Raw => TablespaceKind::Raw,
        },
        state: match tablespace.state {
            kernel::TablespaceState::Online => TablespaceState::Online,
            kernel::TablespaceState::ReadOnly => TablespaceState::ReadOnly,
        },
        folder: tablespace.folder,
        pages: u64::from(tablespace.pages),
        pages_in_use: u64::from(tablespace.pages_in_use),
        pages_max: tablespace.pages_max,
        size_bytes: u64::from(tablespace.pages) * PAGE_BYTES as u64,
        created_at: Timestamp::from_micros(tablespace.created_at_us),
    }
}
