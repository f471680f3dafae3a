//! Records of system spaces as JSON: `{"format":1,"record":{...}}`.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Serialize, Deserialize)]
struct Framed<T> {
    format: u32,
    record: T,
}

pub(crate) fn encode<T: Serialize>(format: u32, record: &T) -> Vec<u8> {
    serde_json::to_vec(&Framed { format, record }).expect("a record has no map with other keys than text")
}

/// The record, or what is wrong with the bytes, without repeating them: they may hold secrets.
pub(crate) fn decode<T: DeserializeOwned>(format: u32, bytes: &[u8]) -> Result<T, String> {
    let place = |error: serde_json::Error| format!("it is damaged at byte {}", error.column());
    let framed: Framed<Value> = serde_json::from_slice(bytes).map_err(place)?;
    if framed.format != format {
        return Err(format!(
            "it has format {}, this binary reads {format}",
            framed.format
        ));
    }
    serde_json::from_value(framed.record).map_err(|_| "its fields are not those of its format".to_owned())
}
