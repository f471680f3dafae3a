//! Names of the contract as GraphQL has them; the generator's documents use the same rules.

/// `buffer_pool` -> `bufferPool`.
pub fn camel(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for (at, word) in name.split('_').filter(|word| !word.is_empty()).enumerate() {
        let mut chars = word.chars();
        match chars.next() {
            Some(first) if at > 0 => out.push(first.to_ascii_uppercase()),
            Some(first) => out.push(first),
            None => {}
        }
        out.push_str(chars.as_str());
    }
    out
}

/// A value of an enumeration: UPPER_SNAKE; what GraphQL reserves or can't begin with gets a prefix.
pub fn enum_value(value: &str) -> String {
    let name = value.to_ascii_uppercase();
    if matches!(name.as_str(), "TRUE" | "FALSE" | "NULL") || name.starts_with(|c: char| c.is_ascii_digit()) {
        format!("V_{name}")
    } else {
        name
    }
}
