//! The tables of the modes, against those that are printed in the paper.

use super::LockMode;

/// Which modes go together: the compatibilities of Gray et al. 1976, without the null mode.
pub const COMPATIBLE: &str = "
        IS  IX  S   SIX X
    IS  yes yes yes yes no
    IX  yes yes no  no  no
    S   yes no  yes no  no
    SIX yes no  no  no  no
    X   no  no  no  no  no
";

/// The weakest mode that allows what both do: the least upper bounds in the partial order of modes of the same paper.
pub const JOINS: &str = "
        IS  IX  S   SIX X
    IS  IS  IX  S   SIX X
    IX  IX  IX  SIX SIX X
    S   S   SIX S   SIX X
    SIX SIX SIX SIX SIX X
    X   X   X   X   X   X
";

/// The cell of such a table.
pub fn cell(table: &str, row: LockMode, column: LockMode) -> String {
    let mut lines = table
        .lines()
        .map(str::split_whitespace)
        .filter(|line| line.clone().count() > 0);
    let place = lines
        .next()
        .expect("a line of names")
        .position(|name| name == column.to_string());
    let mut line = lines
        .find(|line| line.clone().next() == Some(&row.to_string()))
        .expect("a line of this name");
    line.nth(place.expect("a column of this name") + 1)
        .expect("a cell")
        .to_owned()
}

fn pairs() -> impl Iterator<Item = (LockMode, LockMode)> {
    let all = LockMode::ALL;
    all.into_iter()
        .flat_map(move |one| all.into_iter().map(move |two| (one, two)))
}

#[test]
fn modes_go_together_as_the_paper_says() {
    for (one, two) in pairs() {
        let expected = cell(COMPATIBLE, one, two) == "yes";
        assert_eq!(one.compatible(two), expected, "{one} with {two}");
    }
}

#[test]
fn modes_are_joined_as_the_paper_says() {
    for (one, two) in pairs() {
        assert_eq!(
            one.join(two).to_string(),
            cell(JOINS, one, two),
            "{one} and {two}"
        );
        assert_eq!(one.covers(two), cell(JOINS, one, two) == one.to_string());
    }
}

#[test]
fn a_join_conflicts_with_what_either_conflicts_with() {
    for (one, two) in pairs() {
        for other in LockMode::ALL {
            let either = one.compatible(other) && two.compatible(other);
            assert_eq!(
                one.join(two).compatible(other),
                either,
                "{one} and {two} with {other}"
            );
        }
    }
}

/// A lock on a table makes one on a row needless if nobody can have a conflicting one on the row: its intention conflicts.
#[test]
fn what_covers_a_row_keeps_out_those_who_would_conflict_there() {
    for (table, row) in pairs() {
        let kept_out = LockMode::ALL
            .into_iter()
            .filter(|other| !other.compatible(row))
            .all(|other| !other.intention().compatible(table));
        // IX keeps readers of the whole table out, but not other writers of rows.
        assert_eq!(
            table.covers_row(row),
            kept_out && table != LockMode::IX,
            "{table}, {row}"
        );
    }
}
