//! What a subscription hands out.

use std::time::{SystemTime, UNIX_EPOCH};

use rustydb_contract::stream::ViewDesc;
use rustydb_contract::{Cursor, Timestamp};
use rustydb_contract_core::{StreamControl, StreamControlKind};
use serde::Deserialize;
use serde::de::{DeserializeOwned, Error as _};
use serde_json::Value;

/// One item of a subscription whose events are `E`.
#[derive(Debug, Clone, PartialEq)]
pub enum Item<E> {
    Event(Event<E>),
    Notice(Notice),
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub struct Event<E> {
    /// Name of the event, PascalCase.
    pub event: String,
    pub data: E,
    /// When it happened.
    pub timestamp: Timestamp,
    /// Where to go on behind it. Changes have one, but for the rows of a snapshot.
    pub cursor: Option<Cursor>,
}

/// What is told beside the events.
#[derive(Debug, Clone, PartialEq)]
pub struct Notice {
    pub control: StreamControl,
    pub timestamp: Timestamp,
    /// Where to go on behind it; of changes only.
    pub cursor: Option<Cursor>,
}

impl<E> Item<E> {
    /// The event, unless something else is told.
    pub fn into_event(self) -> Option<Event<E>> {
        match self {
            Item::Event(event) => Some(event),
            Item::Notice(_) => None,
        }
    }

    pub fn cursor(&self) -> Option<&Cursor> {
        match self {
            Item::Event(event) => event.cursor.as_ref(),
            Item::Notice(notice) => notice.cursor.as_ref(),
        }
    }

    /// Telemetry of unknown extent was missed while there was no connection; the time is this machine's.
    pub(crate) fn unknown_gap() -> Item<E> {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let micros = i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX);
        Item::Notice(Notice {
            control: StreamControl {
                kind: StreamControlKind::Gap,
                count: None,
            },
            timestamp: Timestamp::from_micros(micros),
            cursor: None,
        })
    }
}

/// The data of a block: an event or what is told beside events.
#[derive(Deserialize)]
struct Frame {
    #[serde(default)]
    event: Option<String>,
    #[serde(default)]
    data: Value,
    #[serde(default)]
    control: Option<StreamControl>,
    timestamp: Timestamp,
    #[serde(default)]
    cursor: Option<Cursor>,
}

impl<E: DeserializeOwned> Item<E> {
    pub(crate) fn decode(view: &ViewDesc, text: &str) -> Result<Item<E>, serde_json::Error> {
        let frame: Frame = serde_json::from_str(text)?;
        let Frame {
            timestamp, cursor, ..
        } = frame;
        if let Some(control) = frame.control {
            return Ok(Item::Notice(Notice {
                control,
                timestamp,
                cursor,
            }));
        }
        let event = frame
            .event
            .ok_or_else(|| serde_json::Error::missing_field("event"))?;
        let mut data = frame.data;
        if !view.is_record {
            // The union of a view's events is told apart by a member beside the data's own.
            let Value::Object(object) = &mut data else {
                return Err(serde_json::Error::custom("the data of an event is an object"));
            };
            object.insert("event".to_owned(), event.as_str().into());
        }
        Ok(Item::Event(Event {
            data: E::deserialize(data)?,
            event,
            timestamp,
            cursor,
        }))
    }
}
