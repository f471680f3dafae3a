//! SQL text to statements with their places.
//!
//! sqlparser (the version DataFusion re-exports) does the parsing, in PostgreSQL's dialect. What is added here
//! are bounds, checked before the parser runs, and the token stream: the syntax tree keeps the places of few
//! clauses, so that whoever refuses a clause looks its keywords up among the tokens ([`Locator`]).

use std::sync::Arc;

use datafusion::sql::sqlparser::ast::Statement;
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::{Location, Span, Token, TokenWithSpan, Tokenizer};

use crate::error::{Position, Result, SqlError};

/// Longest text that is parsed.
pub const SQL_BYTES_MAX: usize = 1 << 20;
/// Most statements in one text.
pub const STATEMENTS_MAX: usize = 1_000;
/// Deepest nesting of parentheses, subqueries and the like.
pub const NESTING_MAX: usize = 50;
/// Most operators in a row, those around enclosing parentheses included. Chains of operators nest to the left in the syntax tree
/// without bound, and walking or dropping a tree takes stack for each level.
pub const OPERATOR_CHAIN_MAX: usize = 500;

/// Starts the names that rewriting invents. Refused in users' text, so that none can be forged.
pub(crate) const INTERNAL_MARK: char = '\u{1}';

/// One statement of a text.
#[derive(Debug, Clone)]
pub struct ParsedStatement {
    pub(crate) ast: Statement,
    text: Arc<str>,
    start: Position,
    end: Position,
    /// Without white space and comments.
    tokens: Arc<[TokenWithSpan]>,
}

impl ParsedStatement {
    /// The statement's own text, without a trailing semicolon.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Where it starts in the text that was parsed.
    pub fn start(&self) -> Position {
        self.start
    }

    /// Its last character.
    pub fn end(&self) -> Position {
        self.end
    }

    pub fn ast(&self) -> &Statement {
        &self.ast
    }

    /// Whether it is a SELECT, VALUES or WITH and nothing else.
    pub fn is_query(&self) -> bool {
        matches!(self.ast, Statement::Query(_))
    }

    pub(crate) fn locator(&self) -> Locator<'_> {
        Locator {
            tokens: &self.tokens,
            start: self.start,
        }
    }

    /// The same place with another syntax tree, for statements unwrapped from EXPLAIN or put together by us.
    pub(crate) fn with_ast(&self, ast: Statement) -> ParsedStatement {
        ParsedStatement { ast, ..self.clone() }
    }
}

/// Finds keywords of a statement.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Locator<'a> {
    tokens: &'a [TokenWithSpan],
    start: Position,
}

impl Locator<'_> {
    /// Whether the statement may nest deeper than a thread's stack is sure to hold.
    pub fn is_long(&self) -> bool {
        const TOKENS_SHORT: usize = 200;
        self.tokens.len() > TOKENS_SHORT
    }

    pub fn start(&self) -> Position {
        self.start
    }

    /// The first place at or behind `from` where these words and symbols stand in a row, else `from`, else the
    /// start of the statement.
    pub fn find(&self, from: Position, words: &[&str]) -> Position {
        let from = if from.is_known() { from } else { self.start };
        let behind = self
            .tokens
            .partition_point(|token| position(token.span.start) < from);
        self.tokens[behind..]
            .windows(words.len().max(1))
            .find(|window| {
                window
                    .iter()
                    .zip(words)
                    .all(|(token, word)| is_word(&token.token, word))
            })
            .map_or(from, |window| position(window[0].span.start))
    }

    /// Where a name is first used, quoted or not.
    pub fn find_name(&self, name: &str) -> Position {
        let found = self.tokens.iter().find(|token| match &token.token {
            Token::Word(word) if word.quote_style.is_some() => word.value == name,
            Token::Word(word) => word.value.eq_ignore_ascii_case(name),
            _ => false,
        });
        found.map_or(self.start, |token| position(token.span.start))
    }
}

fn is_word(token: &Token, wanted: &str) -> bool {
    match token {
        Token::Word(word) => word.quote_style.is_none() && word.value.eq_ignore_ascii_case(wanted),
        Token::SingleQuotedString(_) => false,
        other => other.to_string() == wanted,
    }
}

pub(crate) fn position(location: Location) -> Position {
    Position {
        line: location.line,
        column: location.column,
    }
}

pub(crate) fn start_of(span: Span) -> Position {
    position(span.start)
}

/// The statements of a text; an empty text has none.
pub fn parse(sql: &str) -> Result<Vec<ParsedStatement>> {
    if sql.len() > SQL_BYTES_MAX {
        return Err(SqlError::ResultTooLarge {
            what: format!("SQL text of {} bytes", sql.len()),
            max: SQL_BYTES_MAX as u64,
            unit: "bytes",
            remedy: "send it in several calls, values as parameters".to_owned(),
        });
    }
    let dialect = PostgreSqlDialect {};
    let tokens = Tokenizer::new(&dialect, sql)
        .tokenize_with_location()
        .map_err(|error| SqlError::syntax(error.message, position(error.location)))?;
    check_tokens(&tokens)?;
    let mut parser = Parser::new(&dialect)
        .with_recursion_limit(NESTING_MAX)
        .with_tokens_with_locations(tokens.clone());
    let lines = LineStarts::new(sql);
    let mut statements = Vec::new();
    loop {
        while parser.consume_token(&Token::SemiColon) {}
        if parser.peek_token_ref().token == Token::EOF {
            return Ok(statements);
        }
        let first = parser.index();
        let ast = parser
            .parse_statement()
            .map_err(|error| parser_error(error, &tokens))?;
        let next = parser.peek_token_ref();
        if !matches!(next.token, Token::EOF | Token::SemiColon) {
            let at = position(next.span.start);
            let message = format!("expected the end of the statement, found: {}", next.token);
            return Err(known_clause(at, &tokens).unwrap_or_else(|| SqlError::syntax(message, at)));
        }
        if statements.len() == STATEMENTS_MAX {
            return Err(SqlError::ResultTooLarge {
                what: "the number of statements in one text".to_owned(),
                max: STATEMENTS_MAX as u64,
                unit: "statements",
                remedy: "send them in several calls".to_owned(),
            });
        }
        statements.push(statement(ast, &tokens[first..parser.index()], &lines, sql));
    }
}

/// The only statement of a text.
pub fn parse_one(sql: &str) -> Result<ParsedStatement> {
    let mut statements = parse(sql)?;
    match (statements.pop(), statements.len()) {
        (Some(statement), 0) => Ok(statement),
        (Some(second), _) => {
            let at = second.start;
            Err(SqlError::syntax(
                "only one statement is allowed here; send the others in calls of their own",
                at,
            ))
        }
        (None, _) => Err(SqlError::syntax(
            "there is no statement in the text",
            Position { line: 1, column: 1 },
        )),
    }
}

fn statement(ast: Statement, tokens: &[TokenWithSpan], lines: &LineStarts, sql: &str) -> ParsedStatement {
    let tokens: Arc<[TokenWithSpan]> = tokens
        .iter()
        .filter(|token| !matches!(token.token, Token::Whitespace(_) | Token::SemiColon))
        .cloned()
        .collect();
    let (start, end) = match (tokens.first(), tokens.last()) {
        (Some(first), Some(last)) => (first.span.start, last.span.end),
        _ => (Location { line: 1, column: 1 }, Location { line: 1, column: 1 }),
    };
    let text = &sql[lines.offset(sql, start)..lines.offset(sql, end)];
    ParsedStatement {
        ast,
        text: Arc::from(text.trim_end()),
        start: position(start),
        end: position(end),
        tokens,
    }
}

/// Byte offsets of lines, to cut statements out of their text.
struct LineStarts(Vec<usize>);

impl LineStarts {
    fn new(sql: &str) -> LineStarts {
        let breaks = sql
            .bytes()
            .enumerate()
            .filter(|(_, byte)| *byte == b'\n')
            .map(|(at, _)| at + 1);
        LineStarts(std::iter::once(0).chain(breaks).collect())
    }

    fn offset(&self, sql: &str, at: Location) -> usize {
        let line = usize::try_from(at.line.saturating_sub(1)).unwrap_or(usize::MAX);
        let Some(start) = self.0.get(line).copied() else {
            return sql.len();
        };
        let skipped = usize::try_from(at.column.saturating_sub(1)).unwrap_or(usize::MAX);
        sql[start..]
            .char_indices()
            .nth(skipped)
            .map_or(sql.len(), |(offset, _)| start + offset)
    }
}

/// Bounds that the parser doesn't have, and names that only rewriting may use.
fn check_tokens(tokens: &[TokenWithSpan]) -> Result<()> {
    // A comma starts another chain, as deep as the parentheses around it are.
    let mut chain = 0;
    let mut around: Vec<usize> = Vec::new();
    for token in tokens {
        match &token.token {
            Token::Word(word) if word.quote_style.is_some() => {
                if word.value.contains(INTERNAL_MARK) || word.value.contains('\0') {
                    let message = "a name must not contain control characters";
                    return Err(SqlError::syntax(message, position(token.span.start)));
                }
            }
            Token::Word(word) => {
                const CHAINING: [&str; 14] = [
                    "AND",
                    "OR",
                    "UNION",
                    "INTERSECT",
                    "EXCEPT",
                    "IS",
                    "NOT",
                    "LIKE",
                    "ILIKE",
                    "BETWEEN",
                    "IN",
                    "COLLATE",
                    "AT",
                    "SIMILAR",
                ];
                if CHAINING.iter().any(|name| word.value.eq_ignore_ascii_case(name)) {
                    chain += 1;
                }
            }
            Token::Comma => chain = around.last().copied().unwrap_or(0),
            Token::SemiColon => {
                chain = 0;
                around.clear();
            }
            Token::LParen | Token::LBracket => around.push(chain),
            Token::RParen | Token::RBracket => chain = around.pop().unwrap_or(0) + 1,
            Token::Whitespace(_)
            | Token::Period
            | Token::SingleQuotedString(_)
            | Token::Number(..)
            | Token::Placeholder(_)
            | Token::EOF => {}
            _ => chain += 1,
        }
        if chain > OPERATOR_CHAIN_MAX {
            return Err(SqlError::ResultTooLarge {
                what: format!("a chain of operators{}", position(token.span.start)),
                max: OPERATOR_CHAIN_MAX as u64,
                unit: "operators",
                remedy: "write IN (...) or split the statement".to_owned(),
            });
        }
    }
    Ok(())
}

fn parser_error(error: ParserError, tokens: &[TokenWithSpan]) -> SqlError {
    if let Some(mark) = tokens.iter().find(|token| is_question_mark(&token.token)) {
        return SqlError::unsupported(
            "the parameter mark ?",
            position(mark.span.start),
            "write $1, $2 ...",
        );
    }
    let own = match &error {
        ParserError::TokenizerError(message) | ParserError::ParserError(message) => {
            located_or_end(message, tokens)
        }
        ParserError::RecursionLimitExceeded => SqlError::syntax("", Position::UNKNOWN),
    };
    if let Some(refused) = known_clause(own.position(), tokens) {
        return refused;
    }
    match error {
        ParserError::RecursionLimitExceeded => SqlError::ResultTooLarge {
            what: "the nesting of the statement".to_owned(),
            max: NESTING_MAX as u64,
            unit: "levels",
            remedy: "split it, or use views and WITH".to_owned(),
        },
        ParserError::TokenizerError(_) | ParserError::ParserError(_) => own,
    }
}

/// An error with its place; where the parser names none it ran out of text, and the place is its end.
fn located_or_end(message: &str, tokens: &[TokenWithSpan]) -> SqlError {
    match located(message) {
        SqlError::Syntax { message, at } if !at.is_known() => {
            let last = tokens
                .iter()
                .rfind(|token| !matches!(token.token, Token::Whitespace(_) | Token::EOF));
            SqlError::Syntax {
                message,
                at: last.map_or(at, |token| position(token.span.end)),
            }
        }
        error => error,
    }
}

/// Clauses that the parser itself gives up on, and what to do without them.
const UNPARSED: &[(&[&str], &str)] = &[
    (&["EXCLUDE", "USING"], "use PRIMARY KEY or UNIQUE"),
    (&["UNLOGGED"], "leave it out; every table is durable"),
    (&["TABLE"], "write SELECT * FROM the table"),
    (&["AS", "OF"], "a transaction reads the state at its start"),
    (&["CONNECT", "BY"], "write WITH RECURSIVE"),
    (&["QUALIFY"], "filter in an outer query"),
    (&["LATERAL", "VIEW"], "join with unnest(...)"),
    (
        &["FOR", "NO", "KEY", "UPDATE"],
        "rows are not locked; leave it out",
    ),
    (&["FOR", "KEY", "SHARE"], "rows are not locked; leave it out"),
    (&["PIVOT"], "use CASE within aggregates"),
    (&["UNPIVOT"], "use UNION ALL"),
    (&["TOP"], "write LIMIT"),
];

/// The clause that made the parser fail at `at`: the last known one that starts there or shortly before.
fn known_clause(at: Position, tokens: &[TokenWithSpan]) -> Option<SqlError> {
    const TOKENS_BACK: usize = 4;
    let words: Vec<&TokenWithSpan> = tokens
        .iter()
        .filter(|token| !matches!(token.token, Token::Whitespace(_)))
        .collect();
    let failed = words.iter().position(|token| position(token.span.start) >= at)?;
    let first = failed.saturating_sub(TOKENS_BACK);
    (first..=failed).rev().find_map(|start| {
        let (clause, remedy) = UNPARSED.iter().find(|(clause, _)| {
            // `TABLE t` is a statement of its own; elsewhere the word is an ordinary part.
            let alone = *clause != ["TABLE"] || start == 0 || words[start - 1].token == Token::SemiColon;
            alone
                && words.len() >= start + clause.len()
                && clause
                    .iter()
                    .zip(&words[start..])
                    .all(|(word, token)| is_word(&token.token, word))
        })?;
        Some(SqlError::unsupported(
            clause.join(" "),
            position(words[start].span.start),
            *remedy,
        ))
    })
}

fn is_question_mark(token: &Token) -> bool {
    matches!(token, Token::Question) || matches!(token, Token::Placeholder(mark) if mark.starts_with('?'))
}

/// Takes the place out of a message that ends in `at Line: 1, Column: 8`.
pub(crate) fn located(message: &str) -> SqlError {
    let number = |text: &str| -> Option<u64> {
        let digits: String = text
            .trim_start()
            .chars()
            .take_while(char::is_ascii_digit)
            .collect();
        digits.parse().ok()
    };
    let place = message.rfind(" at Line: ").and_then(|from| {
        let rest = &message[from + " at Line: ".len()..];
        let line = number(rest)?;
        let column = number(&rest[rest.find("Column: ")? + "Column: ".len()..])?;
        Some((from, Position { line, column }))
    });
    match place {
        Some((until, at)) => SqlError::syntax(&message[..until], at),
        None => SqlError::syntax(message, Position::UNKNOWN),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn statements_keep_their_text_and_place() {
        let parsed = parse("SELECT 1;\n  /* c */ SELECT 'ä;b', 2 -- end\n;;").unwrap();
        assert_eq!(parsed.len(), 2);
        assert_eq!(parsed[0].text(), "SELECT 1");
        assert_eq!(parsed[1].text(), "SELECT 'ä;b', 2");
        assert_eq!(parsed[1].start(), Position { line: 2, column: 11 });
    }

    #[test]
    fn syntax_errors_have_a_place() {
        let error = parse("SELECT 1;\nSELEC 2").unwrap_err();
        assert!(
            matches!(
                error,
                SqlError::Syntax {
                    at: Position { line: 2, column: 1 },
                    ..
                }
            ),
            "{error}"
        );
        let error = parse("SELECT 'open").unwrap_err();
        assert!(
            matches!(
                error,
                SqlError::Syntax {
                    at: Position { line: 1, column: 8 },
                    ..
                }
            ),
            "{error}"
        );
        let error = parse("SELECT 1 SELECT 2").unwrap_err();
        assert!(error.position().is_known(), "{error}");
    }

    #[test]
    fn question_marks_are_refused_with_a_remedy() {
        let error = parse("SELECT * FROM t WHERE a = ?").unwrap_err();
        assert!(
            matches!(
                &error,
                SqlError::Unsupported {
                    at: Position { line: 1, column: 27 },
                    ..
                }
            ),
            "{error}"
        );
    }

    #[test]
    fn depth_length_and_chains_are_bounded() {
        let deep = format!("SELECT {}1{}", "(".repeat(5_000), ")".repeat(5_000));
        assert!(matches!(parse(&deep), Err(SqlError::ResultTooLarge { .. })));
        let chain = format!("SELECT 1{}", " OR 1".repeat(100_000));
        assert!(matches!(parse(&chain), Err(SqlError::ResultTooLarge { .. })));
        let casts = format!("SELECT 1{}", "::int".repeat(100_000));
        assert!(matches!(parse(&casts), Err(SqlError::ResultTooLarge { .. })));
        assert!(matches!(
            parse(&" ".repeat(SQL_BYTES_MAX + 1)),
            Err(SqlError::ResultTooLarge { .. })
        ));
        assert!(matches!(
            parse(&"SELECT 1;".repeat(STATEMENTS_MAX + 1)),
            Err(SqlError::ResultTooLarge { .. })
        ));
    }

    #[test]
    fn invented_names_can_not_be_forged() {
        assert!(matches!(
            parse("SELECT \"\u{1}key\" FROM t"),
            Err(SqlError::Syntax { .. })
        ));
    }
}
