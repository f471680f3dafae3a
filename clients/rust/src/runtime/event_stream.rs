//! The event stream format of server-sent events: bytes to blocks, as the HTML standard has it
//! (section 9.2.6, "Interpreting an event stream").
//!
//! Chunks may be cut anywhere, within a line end or a character too. A line ends with CR LF, LF or CR; at CR it is
//! taken as ended at once, since an LF may be long in coming. The field `retry` is not used: pauses are the
//! subscriber's own.

/// Most bytes of one block. The largest that a server sends, a row before and after in JSON, is far below.
const BLOCK_BYTES_MAX: usize = 256 << 20;

const BOM: &[u8] = b"\xEF\xBB\xBF";

/// What stands between two empty lines.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Block {
    pub event: String,
    /// `None` where no event is told: of comments, or of an id alone.
    pub data: Option<String>,
    pub id: Option<String>,
}

/// A block grew beyond [`BLOCK_BYTES_MAX`].
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooLong;

#[derive(Debug)]
pub(crate) struct Parser {
    line: Vec<u8>,
    /// Of the lines of the block that were taken.
    block_bytes: usize,
    /// A LF that comes next belongs to the line end before.
    after_cr: bool,
    first_line: bool,
    /// `None` before the first line of a block.
    block: Option<Block>,
}

impl Parser {
    pub(crate) fn new() -> Parser {
        Parser {
            line: Vec::new(),
            block_bytes: 0,
            after_cr: false,
            first_line: true,
            block: None,
        }
    }

    /// Takes bytes off the front up to the end of a block; `None` when all are taken and the block goes on.
    pub(crate) fn take(&mut self, bytes: &mut &[u8]) -> Result<Option<Block>, TooLong> {
        while let Some(&first) = bytes.first() {
            if std::mem::take(&mut self.after_cr) && first == b'\n' {
                *bytes = &bytes[1..];
                continue;
            }
            let end = bytes.iter().position(|byte| matches!(byte, b'\r' | b'\n'));
            let line = &bytes[..end.unwrap_or(bytes.len())];
            if self.block_bytes + self.line.len() + line.len() > BLOCK_BYTES_MAX {
                return Err(TooLong);
            }
            self.line.extend_from_slice(line);
            let Some(end) = end else {
                *bytes = &[];
                return Ok(None);
            };
            self.after_cr = bytes[end] == b'\r';
            *bytes = &bytes[end + 1..];
            if let Some(block) = self.end_line() {
                return Ok(Some(block));
            }
        }
        Ok(None)
    }

    fn end_line(&mut self) -> Option<Block> {
        let mut line = self.line.as_slice();
        if std::mem::take(&mut self.first_line) {
            line = line.strip_prefix(BOM).unwrap_or(line);
        }
        if line.is_empty() {
            self.line.clear();
            self.block_bytes = 0;
            let mut block = self.block.take()?;
            // Each line of data ended with a LF of its own.
            if let Some(data) = &mut block.data {
                data.pop();
            }
            return Some(block);
        }
        let block = self.block.get_or_insert_default();
        let text = String::from_utf8_lossy(line);
        let (field, value) = text.split_once(':').unwrap_or((&text, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut block.event),
            "data" => {
                let data = block.data.get_or_insert_default();
                data.push_str(value);
                data.push('\n');
            }
            "id" if !value.contains('\0') => block.id = Some(value.to_owned()),
            // A comment has no name before its colon.
            _ => {}
        }
        self.block_bytes += self.line.len();
        self.line.clear();
        None
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn blocks(chunks: &[&[u8]]) -> Vec<Block> {
        let mut parser = Parser::new();
        let mut found = Vec::new();
        for mut chunk in chunks.iter().copied() {
            while let Some(block) = parser.take(&mut chunk).unwrap() {
                found.push(block);
            }
            assert!(chunk.is_empty());
        }
        found
    }

    fn block(event: &str, data: Option<&str>, id: Option<&str>) -> Block {
        Block {
            event: event.to_owned(),
            data: data.map(str::to_owned),
            id: id.map(str::to_owned),
        }
    }

    #[test]
    fn every_cut_of_a_stream_gives_the_same_blocks() {
        let text = "\u{feff}: subscribed\r\nid: c0\r\n\r\nevent: Made\rid: c1\rdata: {\"a\":\rdata:\"ü😀\"}\r\r\
                    data:  two \ndata\nid\n\n\n: alive\n\nretry: 5\nnonsense\nevent:x\ndata:y\n\ndata: cut off\n";
        let expected = [
            block("", None, Some("c0")),
            block("Made", Some("{\"a\":\n\"ü😀\"}"), Some("c1")),
            block("", Some(" two \n"), Some("")),
            block("", None, None),
            block("x", Some("y"), None),
        ];
        let bytes = text.as_bytes();
        assert_eq!(blocks(&[bytes]), expected);
        for at in 0..=bytes.len() {
            let (left, right) = bytes.split_at(at);
            assert_eq!(blocks(&[left, right]), expected, "cut at {at}");
        }
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(blocks(&single), expected);
    }

    #[test]
    fn a_block_is_told_at_the_cr_that_ends_it() {
        assert_eq!(blocks(&[b"data: a\r\n\r"]), [block("", Some("a"), None)]);
    }

    #[test]
    fn a_mark_of_byte_order_counts_at_the_beginning_alone() {
        let text = "data: a\n\n\u{feff}data: b\n\n";
        assert_eq!(
            blocks(&[text.as_bytes()]),
            [block("", Some("a"), None), block("", None, None)]
        );
    }

    #[test]
    fn an_id_with_a_nul_is_none_and_wrong_bytes_are_replaced() {
        assert_eq!(
            blocks(&[b"id: a\0b\ndata: \xff\n\n"]),
            [block("", Some("\u{fffd}"), None)]
        );
    }
}
