//! Numbers that name things, so that none is taken for another.

use std::fmt;

/// A position in the log: bytes since its beginning, over all segments. 0 is before the first record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Lsn(pub u64);

/// Place of a commit in the order of all commits; the version of what it wrote. 0 is before the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Ts(pub u64);

impl Ts {
    pub const MAX: Ts = Ts(u64::MAX);
}

/// A tablespace: a folder of files that hold pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TablespaceId(pub u16);

impl TablespaceId {
    /// Holds the tables and indexes of the system and, unless they say otherwise, of users.
    pub const MAIN: TablespaceId = TablespaceId(0);
}

/// A page: its tablespace and its number therein. As a number it is below 2^48, exact in a JSON number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PageId(u64);

impl PageId {
    pub const fn new(tablespace: TablespaceId, number: u32) -> PageId {
        PageId((tablespace.0 as u64) << 32 | number as u64)
    }

    /// Page 0 of the main tablespace.
    pub const FIRST: PageId = PageId(0);

    /// The page of this number; `None` when it is too large to be one.
    pub const fn from_number(number: u64) -> Option<PageId> {
        if number >> 48 == 0 {
            Some(PageId(number))
        } else {
            None
        }
    }

    pub const fn to_number(self) -> u64 {
        self.0
    }

    pub const fn tablespace(self) -> TablespaceId {
        TablespaceId((self.0 >> 32) as u16)
    }

    /// Place in the tablespace, from 0.
    pub const fn number(self) -> u32 {
        self.0 as u32
    }
}

impl fmt::Display for PageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.tablespace().0, self.number())
    }
}

impl fmt::Debug for PageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PageId({self})")
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}
