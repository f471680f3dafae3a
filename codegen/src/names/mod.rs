//! Case conversions every target shares, and one module per target that makes names legal there.

pub mod graphql;
pub mod lock;
pub mod python;
pub mod rust;
pub mod typescript;

/// Words of an identifier in snake_case, UPPER_SNAKE, camelCase or PascalCase, in lower case.
pub fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut current = String::new();
    let mut previous_lower = false;
    for c in name.chars() {
        if !c.is_ascii_alphanumeric() {
            if !current.is_empty() {
                words.push(std::mem::take(&mut current));
            }
            previous_lower = false;
            continue;
        }
        if c.is_ascii_uppercase() && previous_lower {
            words.push(std::mem::take(&mut current));
        }
        previous_lower = c.is_ascii_lowercase() || c.is_ascii_digit();
        current.push(c.to_ascii_lowercase());
    }
    if !current.is_empty() {
        words.push(current);
    }
    words
}

/// `buffer_pool` -> `BufferPool`.
pub fn pascal(name: &str) -> String {
    words(name).iter().map(|word| capitalised(word)).collect()
}

/// `buffer_pool` -> `bufferPool`.
pub fn camel(name: &str) -> String {
    words(name)
        .iter()
        .enumerate()
        .map(|(at, word)| if at == 0 { word.clone() } else { capitalised(word) })
        .collect()
}

/// `BufferPool` -> `buffer_pool`.
pub fn snake(name: &str) -> String {
    words(name).join("_")
}

/// `BufferPool` -> `BUFFER_POOL`.
pub fn upper_snake(name: &str) -> String {
    snake(name).to_ascii_uppercase()
}

fn capitalised(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map_or_else(String::new, |first| {
        first.to_ascii_uppercase().to_string() + chars.as_str()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn converts_between_cases() {
        assert_eq!(pascal("buffer_pool"), "BufferPool");
        assert_eq!(camel("get_table_stats"), "getTableStats");
        assert_eq!(upper_snake("TableNotFound"), "TABLE_NOT_FOUND");
        assert_eq!(snake("IS_NULL"), "is_null");
        assert_eq!(snake("Id64Value"), "id64_value");
    }
}
