//! Records in pages.

use rustydb_contract::{Bytes, ServiceResult};
use rustydb_contract_storage::{
    InsertedRecord, PageRecord, StorageInsertRecordInput, StorageUpdateRecordInput,
};
use rustydb_kernel::kernel::Kernel;

use super::errors::refused;
use super::page_id;
use crate::identity::error::invalid_argument;

pub(super) fn insert(kernel: &Kernel, input: &StorageInsertRecordInput) -> ServiceResult<InsertedRecord> {
    let slot = kernel.insert_record(page_id("id", input.id)?, &input.data.0);
    Ok(InsertedRecord {
        slot: u32::from(slot.map_err(refused)?),
    })
}

pub(super) fn get(kernel: &Kernel, id: u64, slot: u32) -> ServiceResult<PageRecord> {
    let record = kernel.record(page_id("id", id)?, slot_number(slot)?);
    Ok(PageRecord {
        data: Bytes(record.map_err(refused)?),
    })
}

pub(super) fn update(kernel: &Kernel, input: &StorageUpdateRecordInput) -> ServiceResult<()> {
    let (id, slot) = (page_id("id", input.id)?, slot_number(input.slot)?);
    kernel.update_record(id, slot, &input.data.0).map_err(refused)
}

pub(super) fn delete(kernel: &Kernel, id: u64, slot: u32) -> ServiceResult<()> {
    let (id, slot) = (page_id("id", id)?, slot_number(slot)?);
    kernel.delete_record(id, slot).map_err(refused)
}

fn slot_number(slot: u32) -> ServiceResult<u16> {
    u16::try_from(slot).map_err(|_| {
        invalid_argument(
            "slot",
            format!("slot: {slot} is above {}, the last that there is", u16::MAX),
        )
    })
}
