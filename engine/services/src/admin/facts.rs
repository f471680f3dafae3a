//! What the server can tell of itself and its machine.

use std::path::PathBuf;
use std::sync::Arc;

use rustydb_contract::{ServiceResult, Timestamp};
use rustydb_contract_admin::ServerInfo;
use rustydb_runtime::{Clock, files};
use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};

use crate::identity::internal;

const MICROS: u64 = 1_000_000;

/// What the server knows of its own start. Made when it starts.
#[derive(Clone)]
pub struct ServerFacts {
    clock: Arc<dyn Clock>,
    started_at_us: i64,
    started_mono_us: u64,
    /// Absolute.
    data_dir: PathBuf,
}

impl ServerFacts {
    /// Of a server that starts now and keeps its data in `data_dir`.
    pub fn starting(clock: Arc<dyn Clock>, data_dir: PathBuf) -> ServerFacts {
        ServerFacts {
            started_at_us: clock.now_us(),
            started_mono_us: clock.now_mono_us(),
            clock,
            // Without a working directory there is no better name than the one given.
            data_dir: std::path::absolute(&data_dir).unwrap_or(data_dir),
        }
    }

    /// Asks the operating system; blocks.
    pub(super) fn server_info(&self) -> ServiceResult<ServerInfo> {
        let process_id = std::process::id();
        let (memory_total_bytes, memory_process_bytes) = memory(process_id)
            .ok_or_else(|| internal("the operating system does not tell how much memory there is"))?;
        let cpus = std::thread::available_parallelism()
            .map_err(|error| internal(format!("the processors can't be counted: {error}")))?;
        let data_bytes = files::folder_bytes(&self.data_dir)
            .map_err(|error| internal(format!("the data files can't be measured: {error}")))?;
        let uptime_us = self.clock.now_mono_us().saturating_sub(self.started_mono_us);
        Ok(ServerInfo {
            name: super::SERVER_NAME.to_owned(),
            version: super::SERVER_VERSION.to_owned(),
            started_at: Timestamp::from_micros(self.started_at_us),
            uptime_seconds: uptime_us / MICROS,
            process_id,
            os: std::env::consts::OS.to_owned(),
            architecture: std::env::consts::ARCH.to_owned(),
            cpus: u32::try_from(cpus.get()).unwrap_or(u32::MAX),
            memory_total_bytes,
            memory_process_bytes,
            data_dir: self.data_dir.display().to_string(),
            data_bytes,
        })
    }
}

/// Memory of the machine and resident memory of the process, in bytes.
fn memory(process_id: u32) -> Option<(u64, u64)> {
    let mut system = System::new().ok()?;
    system.refresh_memory();
    let pid = Pid::from_u32(process_id);
    let wanted = ProcessRefreshKind::nothing().with_memory();
    system.refresh_processes_specifics(ProcessesToUpdate::Some(&[pid]), false, wanted);
    let process = system.process(pid)?.memory();
    let total = system.total_memory();
    (total > 0 && process > 0).then_some((total, process))
}
