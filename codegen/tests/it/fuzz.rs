//! Mutants of the real contract: whatever is written there, the generator says what is wrong and never panics.

use std::panic::{AssertUnwindSafe, catch_unwind};

use codegen::load::parse_files;
use codegen::project::{emissions, model_of_loaded};

use crate::support::real_contract;

const MUTANTS: usize = 2_000;
/// Emitting everything takes longer than finding a mistake, so only some sound mutants are emitted.
const EMITTED_EACH: usize = 20;

/// xorshift64*; a seed repeats a run.
struct Random(u64);

impl Random {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        usize::try_from(self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33).unwrap() % below.max(1)
    }

    fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.next(from.len())]
    }
}

const STRANGE: &[&str] = &[
    "",
    "''",
    "null",
    "~",
    "true",
    "0",
    "-1",
    "1e999",
    "9223372036854775808",
    "-9223372036854775808",
    "9007199254740992",
    "0.5",
    "{}",
    "[]",
    "[[]]",
    "{a: {}}",
    "§",
    "ü",
    "\"\\u0000\"",
    "'}'",
    "{",
    "]",
    ": ",
    "- ",
    "? x",
    "&a",
    "*a",
    "!!str",
    "|",
    ">-",
    "%",
    "object",
    "union",
    "array",
    "string",
    "integer",
    "uint64",
    "duration",
    "id64",
    "json",
    "cursor",
    "self",
    "Self",
    "crate",
    "GET /api/v1/{x}",
    "GET /",
    "POST /api/v1/a/{}",
    "public",
    "authenticated",
    "{by: statement, field: x}",
    "${",
    "${a.b}",
    "core",
    "core.Nothing",
    ".",
    "..",
    "a.b.c",
    "type",
    "Query",
    "1.2.3",
    "job",
    "9",
    "_",
    "__typename",
    "a__b",
    "\t",
    "#",
];

fn mutate(random: &mut Random, text: &str, donor: &str) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let edits = if random.next(4) == 0 { 3 } else { 1 };
    for _ in 0..edits {
        let at = random.next(lines.len());
        let other = random.next(lines.len());
        match random.next(9) {
            0 => drop(lines.remove(at)),
            1 => lines.insert(at, lines[other].clone()),
            2 => lines.swap(at, other),
            3 => {
                let donors: Vec<&str> = donor.lines().collect();
                lines.insert(at, random.pick(&donors).to_owned());
            }
            4 => {
                let indent = random.next(9);
                lines[at] = format!("{}{}", " ".repeat(indent), lines[at].trim_start());
            }
            5 | 6 => lines[at] = with_token(random, &lines[at], random_token),
            7 => lines[at] = with_token(random, &lines[at], |random| random.pick(STRANGE).to_owned()),
            _ => {
                let mut chars: Vec<char> = lines[at].chars().collect();
                let cut = random.next(chars.len());
                chars.truncate(cut);
                lines[at] = chars.into_iter().collect();
            }
        }
        if lines.is_empty() {
            break;
        }
    }
    lines.join("\n") + "\n"
}

/// Words that mean something somewhere in the language.
fn random_token(random: &mut Random) -> String {
    const WORDS: &[&str] = &[
        "Table",
        "Filter",
        "ThingPage",
        "HealthStatus",
        "boolean",
        "number",
        "decimal",
        "bytes",
        "lsn",
        "minimum",
        "maximum",
        "items",
        "properties",
        "required",
        "nullable",
        "default",
        "enum",
        "variants",
        "tag",
        "exactlyOneOf",
        "additionalProperties",
        "sensitive",
        "unit",
        "in",
        "$ref",
        "format",
        "type",
        "query",
        "command",
        "limit",
        "after",
        "next",
        "name",
        "0.1.0",
        "500",
    ];
    random.pick(WORDS).to_owned()
}

fn with_token(random: &mut Random, line: &str, token: impl Fn(&mut Random) -> String) -> String {
    let separators = [' ', ',', '{', '}', '[', ']', ':'];
    let words: Vec<&str> = line.split(separators).filter(|word| !word.is_empty()).collect();
    if words.is_empty() {
        return format!("{line}{}", token(random));
    }
    let word = words[random.next(words.len())];
    line.replacen(word, &token(random), 1)
}

#[test]
fn fuzz_mutants_of_the_contract_are_told_apart_without_a_panic() {
    let seed = std::env::var("CODEGEN_FUZZ_SEED")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or_else(|| {
            let now = std::time::SystemTime::now()
                .duration_since(std::time::UNIX_EPOCH)
                .unwrap();
            u64::try_from(now.as_nanos() & u128::from(u64::MAX)).unwrap() | 1
        });
    eprintln!("seed: CODEGEN_FUZZ_SEED={seed}");
    let mut random = Random(seed);
    let original = real_contract();
    let mut parsed = parse_files(&original).unwrap();
    let (mut sound, mut refused) = (0, 0);
    for number in 0..MUTANTS {
        let (at, donor) = (random.next(original.len()), random.next(original.len()));
        let mutant = mutate(&mut random, &original[at].1, &original[donor].1);
        let file = (original[at].0.clone(), mutant);
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let outcome = parse_files(std::slice::from_ref(&file)).and_then(|mut mutant| {
                std::mem::swap(&mut parsed[at], &mut mutant[0]);
                let outcome = model_of_loaded(&parsed);
                std::mem::swap(&mut parsed[at], &mut mutant[0]);
                outcome
            });
            match outcome {
                Ok(model) => {
                    sound += 1;
                    if sound % EMITTED_EACH == 0 {
                        assert!(!emissions(&model).is_empty());
                    }
                }
                Err(found) => {
                    refused += 1;
                    assert!(!found.is_empty());
                    assert!(
                        found
                            .iter()
                            .all(|d| d.place.line > 0 && d.place.column > 0 && !d.message.is_empty())
                    );
                }
            }
        }));
        assert!(
            outcome.is_ok(),
            "mutant {number} of seed {seed}, file {}:\n{mutant}",
            file.0,
            mutant = file.1
        );
    }
    eprintln!("{sound} sound, {refused} refused");
    assert!(
        refused > MUTANTS / 2,
        "{refused} mutants refused: too few are mistakes to mean much"
    );
}
