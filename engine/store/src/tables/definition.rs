//! From what a caller says of a table to a definition that can be kept.

use std::collections::HashSet;

use crate::datum::datum_to_json;
use crate::seam::SpaceId;
use crate::tables::constraints::check_value;
use crate::tables::{ColumnSpec, Result, TableError, TableSpec};
use crate::types::{ColumnDef, ColumnType, DECIMAL_PRECISION_MAX, TableDef, UniqueDef, ViewDef};

/// Longest name of anything in the catalog.
pub const NAME_BYTES_MAX: usize = 63;
/// Columns of a table.
pub const COLUMNS_MAX: usize = 1600;
/// Columns of a primary key or unique constraint.
pub const KEY_COLUMNS_MAX: usize = 32;
/// Unique constraints of a table.
pub const UNIQUE_MAX: usize = 64;
/// Indexes of a table.
pub const INDEXES_MAX: usize = 64;
/// Name of the generated row number; no column may take it.
pub const ROWID_COLUMN: &str = "_rowid";

impl TableDef {
    /// Names of its first columns, for messages.
    pub fn columns_shown(&self) -> String {
        const NAMES_MAX: usize = 8;
        let names: Vec<&str> = self
            .columns
            .iter()
            .take(NAMES_MAX)
            .map(|column| column.name.as_str())
            .collect();
        let rest = if self.columns.len() > NAMES_MAX {
            " and others"
        } else {
            ""
        };
        format!("{}{rest}", names.join(", "))
    }

    /// Name of the primary key as a constraint.
    pub fn primary_key_name(&self) -> String {
        primary_key_name(&self.name)
    }

    /// Position of a column.
    pub fn column_index(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }

    /// Whether rows get a generated number as their key.
    pub fn has_rowid(&self) -> bool {
        self.primary_key.is_empty()
    }
}

impl ViewDef {
    /// Whether the view reads a relation of its database.
    pub fn reads(&self, schema: &str, name: &str) -> bool {
        let qualified = |needed: &str| {
            needed
                .strip_suffix(name)
                .and_then(|rest| rest.strip_suffix('.'))
                .is_some_and(|rest| rest == schema)
        };
        self.depends_on
            .iter()
            .any(|needed| needed == name || qualified(needed))
    }
}

/// What of a definition follows from the specification alone.
pub(super) struct Checked {
    pub(super) columns: Vec<ColumnDef>,
    pub(super) primary_key: Vec<usize>,
    /// Spaces are yet to be given.
    pub(super) unique: Vec<UniqueDef>,
}

/// Checks a name that is to stand in the catalog.
pub(super) fn check_name(name: &str) -> Result<()> {
    let reason = if name.is_empty() {
        "a name must not be empty".to_owned()
    } else if name.len() > NAME_BYTES_MAX {
        format!(
            "a name has at most {NAME_BYTES_MAX} bytes, this one {}",
            name.len()
        )
    } else if name.chars().any(char::is_control) {
        "a name must not contain control characters".to_owned()
    } else {
        return Ok(());
    };
    Err(TableError::InvalidDefinition {
        name: crate::datum::shortened(name),
        reason,
    })
}

pub(super) fn check(spec: &TableSpec) -> Result<Checked> {
    check_name(&spec.name)?;
    let invalid = |reason: String| TableError::InvalidDefinition {
        name: spec.name.clone(),
        reason,
    };
    if spec.columns.is_empty() {
        return Err(invalid("a table needs at least one column".to_owned()));
    }
    if spec.columns.len() > COLUMNS_MAX {
        return Err(invalid(format!(
            "{} columns; a table has at most {COLUMNS_MAX}",
            spec.columns.len()
        )));
    }
    if spec.unique.len() > UNIQUE_MAX {
        return Err(invalid(format!(
            "{} unique constraints; at most {UNIQUE_MAX} are allowed",
            spec.unique.len()
        )));
    }
    let primary_key = key_columns(spec, "the primary key", &spec.primary_key, true)?;
    let mut columns = Vec::with_capacity(spec.columns.len());
    let mut names = HashSet::new();
    for (place, column) in spec.columns.iter().enumerate() {
        check_name(&column.name)?;
        if column.name.eq_ignore_ascii_case(ROWID_COLUMN) {
            return Err(invalid(format!(
                "\"{ROWID_COLUMN}\" is the name of the generated row number"
            )));
        }
        if !names.insert(column.name.as_str()) {
            return Err(invalid(format!("column \"{}\" is there twice", column.name)));
        }
        columns.push(column_def(spec, column, primary_key.contains(&place))?);
    }
    let mut constraint_names = HashSet::from([primary_key_name(&spec.name)]);
    let mut unique = Vec::with_capacity(spec.unique.len());
    for constraint in &spec.unique {
        let columns = key_columns(spec, "a unique constraint", &constraint.columns, false)?;
        let name = match &constraint.name {
            Some(name) => {
                check_name(name)?;
                name.clone()
            }
            None => free_name(
                &format!("{}_{}_key", spec.name, constraint.columns.join("_")),
                &constraint_names,
            ),
        };
        if !constraint_names.insert(name.clone()) {
            return Err(invalid(format!("constraint \"{name}\" is there twice")));
        }
        unique.push(UniqueDef {
            name,
            columns,
            space: SpaceId(0),
        });
    }
    Ok(Checked {
        columns,
        primary_key,
        unique,
    })
}

fn column_def(spec: &TableSpec, column: &ColumnSpec, in_primary_key: bool) -> Result<ColumnDef> {
    if let ColumnType::Decimal { precision, scale } = column.data_type
        && (precision == 0 || precision > DECIMAL_PRECISION_MAX || scale > precision)
    {
        return Err(TableError::InvalidDefinition {
            name: spec.name.clone(),
            reason: format!(
                "column \"{}\" is {}, which no decimal can be",
                column.name, column.data_type
            ),
        });
    }
    let mut def = ColumnDef {
        name: column.name.clone(),
        data_type: column.data_type,
        nullable: true,
        default: column.default.clone(),
        fill: None,
    };
    if let Some(fill) = &column.fill {
        check_value(&spec.name, &def, fill)?;
        def.fill = Some(datum_to_json(fill, column.data_type)).filter(|fill| !fill.is_null());
    }
    def.nullable = column.nullable && !in_primary_key;
    Ok(def)
}

/// Positions of the columns of a key.
fn key_columns(spec: &TableSpec, what: &str, names: &[String], may_be_empty: bool) -> Result<Vec<usize>> {
    let invalid = |reason: String| TableError::InvalidDefinition {
        name: spec.name.clone(),
        reason,
    };
    if names.is_empty() && !may_be_empty {
        return Err(invalid(format!("{what} needs at least one column")));
    }
    if names.len() > KEY_COLUMNS_MAX {
        return Err(invalid(format!(
            "{what} has {} columns; at most {KEY_COLUMNS_MAX} are allowed",
            names.len()
        )));
    }
    let mut positions = Vec::with_capacity(names.len());
    for name in names {
        let place = spec
            .columns
            .iter()
            .position(|column| column.name == *name)
            .ok_or_else(|| {
                invalid(format!(
                    "{what} names column \"{name}\", which the table does not have"
                ))
            })?;
        if positions.contains(&place) {
            return Err(invalid(format!("{what} names column \"{name}\" twice")));
        }
        if !spec.columns[place].data_type.is_comparable() {
            let data_type = spec.columns[place].data_type;
            return Err(invalid(format!(
                "{what} can't have column \"{name}\": {data_type} values are not comparable"
            )));
        }
        positions.push(place);
    }
    Ok(positions)
}

/// Positions of the columns of an index by their names.
pub(super) fn index_columns(table: &TableDef, index: &str, names: &[String]) -> Result<Vec<usize>> {
    let mut columns = Vec::with_capacity(names.len());
    for name in names {
        let column = table
            .column_index(name)
            .ok_or_else(|| TableError::ColumnNotFound {
                table: table.name.clone(),
                column: name.clone(),
            })?;
        columns.push(column);
    }
    check_index_columns(table, index, &columns)?;
    Ok(columns)
}

pub(super) fn check_index_columns(table: &TableDef, index: &str, columns: &[usize]) -> Result<()> {
    let invalid = |reason: String| {
        Err(TableError::InvalidDefinition {
            name: index.to_owned(),
            reason,
        })
    };
    if columns.is_empty() {
        return invalid("an index needs at least one column".to_owned());
    }
    if columns.len() > KEY_COLUMNS_MAX {
        return invalid(format!(
            "{} columns; an index has at most {KEY_COLUMNS_MAX}",
            columns.len()
        ));
    }
    for (place, &column) in columns.iter().enumerate() {
        let def = &table.columns[column];
        if columns[..place].contains(&column) {
            return invalid(format!("column \"{}\" is there twice", def.name));
        }
        if !def.data_type.is_comparable() {
            return invalid(format!(
                "column \"{}\" can't be indexed: {} values are not comparable",
                def.name, def.data_type
            ));
        }
    }
    Ok(())
}

/// Refuses the name of a constraint: violations name either.
pub(super) fn check_index_name(table: &TableDef, name: &str) -> Result<()> {
    check_name(name)?;
    let taken = table.primary_key_name() == name || table.unique.iter().any(|unique| unique.name == name);
    if !taken {
        return Ok(());
    }
    Err(TableError::InvalidDefinition {
        name: name.to_owned(),
        reason: format!("table \"{}\" has a constraint of that name", table.name),
    })
}

fn primary_key_name(table: &str) -> String {
    format!("{}_pkey", cut(table, NAME_BYTES_MAX - "_pkey".len()))
}

/// `wanted`, cut to a name's length and numbered when taken.
fn free_name(wanted: &str, taken: &HashSet<String>) -> String {
    let name = cut(wanted, NAME_BYTES_MAX).to_owned();
    if !taken.contains(&name) {
        return name;
    }
    (1..)
        .map(|number: u32| {
            let number = number.to_string();
            format!("{}{number}", cut(wanted, NAME_BYTES_MAX - number.len()))
        })
        .find(|name| !taken.contains(name))
        .expect("there are fewer names than numbers")
}

/// At most `bytes_max` bytes of whole characters.
fn cut(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}
