//! Absent, null and value, kept apart.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An optional field that may also be null. Declare it `#[serde(default, skip_serializing_if =
/// "Presence::is_absent")]`: only the containing object can leave a field out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Presence<T> {
    /// The field was not given: leave things as they are.
    #[default]
    Absent,
    /// The field was given as null: clear it.
    Null,
    Value(T),
}

impl<T> Presence<T> {
    pub fn is_absent(&self) -> bool {
        matches!(self, Presence::Absent)
    }

    /// The value, where there is one; absent and null alike are `None`.
    pub fn value(self) -> Option<T> {
        match self {
            Presence::Value(value) => Some(value),
            Presence::Absent | Presence::Null => None,
        }
    }

    /// `None` when absent, `Some(None)` when null.
    pub fn given(self) -> Option<Option<T>> {
        match self {
            Presence::Absent => None,
            Presence::Null => Some(None),
            Presence::Value(value) => Some(Some(value)),
        }
    }
}

impl<T: Serialize> Serialize for Presence<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Presence::Value(value) => value.serialize(serializer),
            Presence::Absent | Presence::Null => serializer.serialize_none(),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Presence<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match Option::deserialize(deserializer)? {
            Some(value) => Presence::Value(value),
            None => Presence::Null,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Holder {
        #[serde(default, skip_serializing_if = "Presence::is_absent")]
        field: Presence<i32>,
    }

    #[test]
    fn three_states_survive_a_round_trip() {
        for (text, field) in [
            ("{}", Presence::Absent),
            (r#"{"field":null}"#, Presence::Null),
            (r#"{"field":7}"#, Presence::Value(7)),
        ] {
            let holder: Holder = serde_json::from_str(text).unwrap();
            assert_eq!(holder, Holder { field });
            assert_eq!(serde_json::to_string(&holder).unwrap(), text);
        }
    }
}
