//! Reads a YAML file of the contract into a JSON value and remembers where each part stood.
//!
//! The contract's serde model knows nothing of positions; a finding names a part by its JSON pointer and
//! [`Source::place`] turns the pointer into a line and column. The YAML accepted is what JSON can say: one
//! document, string keys, no anchors, aliases or tags. A key given twice is refused.

use std::collections::HashMap;

use saphyr::Scalar;
use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Span};
use serde_json::{Map, Number, Value};

use crate::diagnostics::{Diagnostic, Place};

/// Nesting that no sensible contract reaches; deeper input is refused before it can exhaust the stack.
const NESTING_MAX: usize = 64;

/// A parsed file.
#[derive(Debug, Clone)]
pub struct Source {
    /// Path from the contract's root, with forward slashes.
    pub file: String,
    pub value: Value,
    places: HashMap<String, (usize, usize)>,
}

impl Source {
    pub fn parse(file: &str, text: &str) -> Result<Source, Diagnostic> {
        let mut loader = Loader {
            file,
            parser: Parser::new_from_str(text),
            places: HashMap::new(),
        };
        let value = loader.document()?;
        let places = loader.places;
        Ok(Source {
            file: file.to_owned(),
            value,
            places,
        })
    }

    /// Where the part at `pointer` stands: its key in a mapping, else its first character. A part that the
    /// file does not spell out has the place of the nearest part around it.
    pub fn place(&self, pointer: &str) -> Place {
        let mut pointer = pointer;
        loop {
            if let Some(&(line, column)) = self.places.get(pointer) {
                return Place {
                    file: self.file.clone(),
                    line,
                    column,
                };
            }
            match pointer.rfind('/') {
                Some(cut) => pointer = &pointer[..cut],
                None => {
                    return Place {
                        file: self.file.clone(),
                        line: 1,
                        column: 1,
                    };
                }
            }
        }
    }
}

/// Appends one step to a JSON pointer (RFC 6901).
pub fn pointer_push(pointer: &str, step: &str) -> String {
    format!("{pointer}/{}", step.replace('~', "~0").replace('/', "~1"))
}

struct Loader<'a> {
    file: &'a str,
    parser: Parser<'a, saphyr_parser::StrInput<'a>>,
    places: HashMap<String, (usize, usize)>,
}

impl<'a> Loader<'a> {
    fn document(&mut self) -> Result<Value, Diagnostic> {
        loop {
            let (event, span) = self.next_event()?;
            match event {
                Event::StreamStart | Event::DocumentStart(_) | Event::Nothing => {}
                Event::StreamEnd => {
                    return Err(self.error(span.start, "the file is empty", "start it with `module: NAME`"));
                }
                event => {
                    let value = self.node(event, span, String::new(), 0)?;
                    self.end_of_document()?;
                    return Ok(value);
                }
            }
        }
    }

    fn end_of_document(&mut self) -> Result<(), Diagnostic> {
        loop {
            let (event, span) = self.next_event()?;
            match event {
                Event::StreamEnd => return Ok(()),
                Event::DocumentEnd | Event::Nothing => {}
                _ => {
                    return Err(self.error(
                        span.start,
                        "the file holds more than one YAML document",
                        "keep one module in one file",
                    ));
                }
            }
        }
    }

    fn node(
        &mut self,
        event: Event<'a>,
        span: Span,
        pointer: String,
        depth: usize,
    ) -> Result<Value, Diagnostic> {
        if depth > NESTING_MAX {
            return Err(self.error(
                span.start,
                format!("nesting is deeper than {NESTING_MAX}"),
                "name inner parts as types and refer to them",
            ));
        }
        self.places
            .entry(pointer.clone())
            .or_insert_with(|| place_of(span.start));
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                if anchor != 0 || tag.is_some() {
                    return Err(self.unsupported(span.start));
                }
                if style != ScalarStyle::Plain {
                    return Ok(Value::String(text.into_owned()));
                }
                self.scalar(Scalar::parse_from_cow(text), span)
            }
            Event::SequenceStart(0, None) => self.sequence(pointer, depth),
            Event::MappingStart(0, None) => self.mapping(pointer, depth),
            _ => Err(self.unsupported(span.start)),
        }
    }

    fn scalar(&self, scalar: Scalar<'a>, span: Span) -> Result<Value, Diagnostic> {
        Ok(match scalar {
            Scalar::Null => Value::Null,
            Scalar::Boolean(value) => Value::Bool(value),
            Scalar::Integer(value) => Value::Number(value.into()),
            Scalar::FloatingPoint(value) => {
                Value::Number(Number::from_f64(value.into_inner()).ok_or_else(|| {
                    self.error(
                        span.start,
                        "infinities and NaN have no place in a contract",
                        "quote it as a string",
                    )
                })?)
            }
            Scalar::String(text) => Value::String(text.into_owned()),
        })
    }

    fn sequence(&mut self, pointer: String, depth: usize) -> Result<Value, Diagnostic> {
        let mut items = Vec::new();
        loop {
            let (event, span) = self.next_event()?;
            if event == Event::SequenceEnd {
                return Ok(Value::Array(items));
            }
            let inner = format!("{pointer}/{}", items.len());
            items.push(self.node(event, span, inner, depth + 1)?);
        }
    }

    fn mapping(&mut self, pointer: String, depth: usize) -> Result<Value, Diagnostic> {
        let mut map = Map::new();
        loop {
            let (event, key_span) = self.next_event()?;
            let key = match event {
                Event::MappingEnd => return Ok(Value::Object(map)),
                Event::Scalar(text, _, 0, None) => text.into_owned(),
                _ => return Err(self.unsupported(key_span.start)),
            };
            if map.contains_key(&key) {
                return Err(self.error(
                    key_span.start,
                    format!("the key `{key}` is given twice"),
                    "keep one of the two",
                ));
            }
            let inner = pointer_push(&pointer, &key);
            self.places.insert(inner.clone(), place_of(key_span.start));
            let (event, span) = self.next_event()?;
            let value = self.node(event, span, inner, depth + 1)?;
            map.insert(key, value);
        }
    }

    fn next_event(&mut self) -> Result<(Event<'a>, Span), Diagnostic> {
        match self.parser.next() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => Err(self.scan_error(&error)),
            None => Err(self.error(Marker::default(), "the file ends too early", "")),
        }
    }

    fn scan_error(&self, error: &ScanError) -> Diagnostic {
        self.error(*error.marker(), format!("not YAML: {}", error.info()), "")
    }

    fn unsupported(&self, at: Marker) -> Diagnostic {
        self.error(
            at,
            "anchors, aliases, tags and keys that are not plain text are not part of the contract language",
            "spell the value out",
        )
    }

    fn error(&self, at: Marker, message: impl Into<String>, hint: &str) -> Diagnostic {
        let (line, column) = place_of(at);
        Diagnostic {
            place: Place {
                file: self.file.to_owned(),
                line,
                column,
            },
            rule: "yaml",
            message: message.into(),
            hint: hint.to_owned(),
        }
    }
}

fn place_of(at: Marker) -> (usize, usize) {
    (at.line().max(1), at.col() + 1)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn places_name_keys_and_items() {
        let source = Source::parse("m.yaml", "module: x\ntypes:\n  A:\n    enum: [a, b]\n").unwrap();
        assert_eq!(source.place("/types/A").to_string(), "m.yaml:3:3");
        assert_eq!(source.place("/types/A/enum/1").to_string(), "m.yaml:4:15");
        assert_eq!(source.place("/types/A/missing").to_string(), "m.yaml:3:3");
    }

    #[test]
    fn refuses_what_json_cannot_say() {
        for text in [
            "a: 1\na: 2\n",
            "a: &x 1\nb: *x\n",
            "a: !!str 1\n",
            "--- 1\n--- 2\n",
            "",
            "a: .nan\n",
            "a: [\n",
        ] {
            let error = Source::parse("m.yaml", text).unwrap_err();
            assert_eq!(error.rule, "yaml", "{text:?}");
        }
        let deep = "[".repeat(100_000);
        assert!(Source::parse("m.yaml", &deep).is_err());
    }
}
