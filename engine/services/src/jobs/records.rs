//! What the store keeps of jobs: docs/format/jobs.md.

use rustydb_contract::{Json, Presence, ServiceError, Timestamp};
use rustydb_contract_jobs::{Job, JobError, JobProgress, JobState};
use serde::{Deserialize, Serialize};

use super::meter::Count;
use crate::framed;

/// Version of all that docs/format/jobs.md describes.
const RECORD_FORMAT: u32 = 1;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
    Queued,
    Running,
    Succeeded,
    Failed,
    Cancelled,
}

impl State {
    pub(super) fn is_final(self) -> bool {
        match self {
            State::Queued | State::Running => false,
            State::Succeeded | State::Failed | State::Cancelled => true,
        }
    }

    pub(super) fn shown(self) -> JobState {
        match self {
            State::Queued => JobState::Queued,
            State::Running => JobState::Running,
            State::Succeeded => JobState::Succeeded,
            State::Failed => JobState::Failed,
            State::Cancelled => JobState::Cancelled,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct JobRecord {
    pub(super) operation: String,
    pub(super) user_id: String,
    pub(super) username: String,
    pub(super) state: State,
    pub(super) count: Count,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<Failure>,
    pub(super) created_at_us: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) started_at_us: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) finished_at_us: Option<i64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Failure {
    pub(super) code: String,
    pub(super) message: String,
}

impl From<&ServiceError> for Failure {
    fn from(error: &ServiceError) -> Failure {
        Failure {
            code: error.code().to_owned(),
            message: error.message().to_owned(),
        }
    }
}

impl Failure {
    pub(super) fn interrupted() -> Failure {
        Failure {
            code: "INTERRUPTED".to_owned(),
            message: "the server stopped while the job ran; what it had committed stays".to_owned(),
        }
    }

    pub(super) fn shown(&self) -> JobError {
        JobError {
            code: self.code.clone(),
            message: self.message.clone(),
        }
    }
}

impl JobRecord {
    pub(super) fn shown(&self, id: &str, result: Option<Json>) -> Job {
        Job {
            id: id.to_owned(),
            operation: self.operation.clone(),
            state: self.state.shown(),
            progress: self.count.shown(),
            result: result.map_or(Presence::Absent, |result| match result {
                Json::Null => Presence::Null,
                value => Presence::Value(value),
            }),
            error: self.error.as_ref().map(Failure::shown),
            created_by: self.username.clone(),
            created_at: Timestamp::from_micros(self.created_at_us),
            started_at: self.started_at_us.map(Timestamp::from_micros),
            finished_at: self.finished_at_us.map(Timestamp::from_micros),
        }
    }
}

impl Count {
    pub(super) fn shown(&self) -> JobProgress {
        JobProgress {
            done: self.done,
            total: self.total,
            message: self.message.clone(),
        }
    }
}

pub(super) fn encode(record: &JobRecord) -> Vec<u8> {
    framed::encode(RECORD_FORMAT, record)
}

/// The record, or what is wrong with the bytes.
pub(super) fn decode(bytes: &[u8]) -> Result<JobRecord, String> {
    framed::decode(RECORD_FORMAT, bytes)
}
