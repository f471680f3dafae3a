//! JSDoc comments out of the contract's texts.

use crate::model::{Deprecated, Field, Integer, IntegerWidth, SAFE_INTEGER_MAX, Ty};

/// Longest line of a comment, indentation included.
const WIDTH: usize = 116;

/// A comment of paragraphs and tags.
#[derive(Debug, Default)]
pub struct Doc {
    blocks: Vec<Block>,
}

#[derive(Debug)]
struct Block {
    text: String,
    /// Stands directly below the block before it.
    tight: bool,
}

impl Doc {
    /// A paragraph, or several that blank lines part; empty text adds nothing.
    pub fn text(mut self, text: &str) -> Doc {
        for paragraph in text.split("\n\n") {
            self.push(escape(&one_line(paragraph)), false);
        }
        self
    }

    /// `@name text`.
    pub fn tag(mut self, name: &str, text: &str) -> Doc {
        let after_tag = self
            .blocks
            .last()
            .is_some_and(|block| block.text.starts_with('@'));
        let text = format!("@{name} {}", escape(&one_line(text)));
        self.push(text.trim_end().to_owned(), after_tag);
        self
    }

    pub fn deprecated(self, deprecated: Option<&Deprecated>) -> Doc {
        match deprecated {
            Some(found) => self.tag(
                "deprecated",
                &format!("since {}: use {}", found.since, found.instead),
            ),
            None => self,
        }
    }

    fn push(&mut self, text: String, tight: bool) {
        if !text.is_empty() {
            self.blocks.push(Block { text, tight });
        }
    }

    /// The comment's lines, each ending in a line break; nothing for an empty one.
    pub fn render(&self, indent: &str) -> String {
        let [first, rest @ ..] = self.blocks.as_slice() else {
            return String::new();
        };
        if rest.is_empty() && indent.len() + first.text.chars().count() + 7 <= WIDTH {
            return format!("{indent}/** {} */\n", first.text);
        }
        let mut out = format!("{indent}/**\n");
        for (at, block) in self.blocks.iter().enumerate() {
            if at > 0 && !block.tight {
                out.push_str(&format!("{indent} *\n"));
            }
            let hanging = if block.text.starts_with('@') { "  " } else { "" };
            for (line_at, line) in wrap(&block.text, WIDTH - indent.len() - 5).iter().enumerate() {
                let hanging = if line_at == 0 { "" } else { hanging };
                out.push_str(&format!("{indent} * {hanging}{line}\n"));
            }
        }
        out.push_str(&format!("{indent} */\n"));
        out
    }
}

/// What a field's comment says.
pub fn field_doc(field: &Field) -> Doc {
    let mut doc = Doc::default().text(&field.description);
    let mut facts = bounds(&field.ty);
    if let Some(default) = &field.default {
        facts.push(format!("Default `{default}`."));
    }
    if field.sensitive {
        facts.push("Secret: keep it out of logs.".to_owned());
    }
    doc = doc.text(&facts.join(" "));
    if let Some(since) = &field.since {
        doc = doc.tag("since", since);
    }
    doc.deprecated(field.deprecated.as_ref())
}

/// Sentences about what values a type takes beyond what TypeScript can say.
pub fn bounds(ty: &Ty) -> Vec<String> {
    match ty {
        Ty::Integer(integer) => integer_bounds(integer),
        Ty::Number { minimum, maximum } => range(
            "",
            minimum.map(|bound| bound.to_string()),
            maximum.map(|bound| bound.to_string()),
        ),
        Ty::Text(text) => {
            let mut facts = range(
                " characters",
                text.min_length.map(|bound| bound.to_string()),
                text.max_length.map(|bound| bound.to_string()),
            );
            if let Some(pattern) = &text.pattern {
                facts.push(format!("Pattern `{pattern}`."));
            }
            facts
        }
        Ty::Bytes { max: Some(max) } => vec![format!("At most {max} bytes, decoded.")],
        Ty::Array { min, max, .. } => range(
            " items",
            min.map(|bound| bound.to_string()),
            max.map(|bound| bound.to_string()),
        ),
        _ => Vec::new(),
    }
}

/// Only bounds that are tighter than the width's.
fn integer_bounds(integer: &Integer) -> Vec<String> {
    let (lowest, highest) = match integer.width {
        IntegerWidth::Int32 => (i64::from(i32::MIN), i64::from(i32::MAX)),
        IntegerWidth::UInt32 => (0, i64::from(u32::MAX)),
        IntegerWidth::Int53 => (-SAFE_INTEGER_MAX, SAFE_INTEGER_MAX),
        IntegerWidth::UInt53 => (0, SAFE_INTEGER_MAX),
    };
    let minimum = (integer.minimum > lowest).then(|| integer.minimum.to_string());
    let maximum = (integer.maximum < highest).then(|| integer.maximum.to_string());
    let unsigned = lowest == 0 && minimum.is_none();
    if unsigned && maximum.is_some() {
        range("", Some("0".to_owned()), maximum)
    } else {
        range("", minimum, maximum)
    }
}

fn range(what: &str, minimum: Option<String>, maximum: Option<String>) -> Vec<String> {
    match (minimum, maximum) {
        (None, None) => Vec::new(),
        (Some(minimum), None) => vec![format!("At least {minimum}{what}.")],
        (None, Some(maximum)) => vec![format!("At most {maximum}{what}.")],
        (Some(minimum), Some(maximum)) => vec![format!("{minimum} to {maximum}{what}.")],
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Keeps text from ending the comment or starting a tag.
fn escape(text: &str) -> String {
    let text = text.replace("*/", "*\\/").replace("{@", "{\\@");
    if text.starts_with('@') {
        format!("\\{text}")
    } else {
        text
    }
}

fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut line = String::new();
    for word in text.split(' ') {
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > width {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        // A tag begins a line; inside of a text such a word must not.
        if line.is_empty() && !lines.is_empty() && word.starts_with('@') {
            line.push('\\');
        }
        line.push_str(word);
    }
    lines.push(line);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_can_neither_end_the_comment_nor_start_a_tag() {
        let doc = Doc::default()
            .text("Ends */ here; see {@link x}.")
            .text("@param is no tag");
        assert_eq!(
            doc.render(""),
            "/**\n * Ends *\\/ here; see {\\@link x}.\n *\n * \\@param is no tag\n */\n"
        );
    }

    #[test]
    fn short_text_takes_one_line_and_long_text_is_wrapped() {
        assert_eq!(
            Doc::default().text("Rows\nin it.").render("  "),
            "  /** Rows in it. */\n"
        );
        let rendered = Doc::default()
            .text(&"word ".repeat(60))
            .tag("since", "0.1.0")
            .render("  ");
        assert!(
            rendered.lines().all(|line| line.chars().count() <= WIDTH),
            "{rendered}"
        );
        assert!(
            rendered.ends_with("   *\n   * @since 0.1.0\n   */\n"),
            "{rendered}"
        );
    }

    #[test]
    fn an_at_sign_that_wrapping_moves_to_a_line_start_is_escaped() {
        let text = format!("{} @here", "x".repeat(WIDTH - 8));
        assert!(Doc::default().text(&text).render("").contains("\n * \\@here\n"));
    }
}
