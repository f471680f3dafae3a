//! The way from the root to the page for a key.

use super::{LEVELS_MAX, Tree};
use crate::error::{KernelError, Result};
use crate::ids::PageId;
use crate::page::node::{self, Place, VersionKey};
use crate::page::{PageRead, Torn, header};
use crate::sync::Backoff;

/// Reads that may be made of a page while it changes: asked again until the page stood still.
pub trait PageQuery {
    type Answer;

    /// Must not keep anything of an earlier attempt.
    fn ask<P: PageRead + ?Sized>(&mut self, page: &P) -> Result<Self::Answer, Torn>;
}

/// Where pages are read from.
pub trait PageSource {
    /// Whether pages may change between two queries, so that a wrong turn may be nobody's fault.
    const SHARED: bool;

    fn query<Q: PageQuery>(&self, id: PageId, query: &mut Q) -> Result<Q::Answer>;
}

/// Which page is looked for.
#[derive(Debug, Clone, Copy)]
pub enum Target<'k> {
    /// The one whose range holds the key.
    At(VersionKey<'k>),
    /// The one whose range holds what is just before the key.
    Before(VersionKey<'k>),
    /// The one with the greatest keys.
    Last,
}

/// Begin again at the root so often before a wrong turn is held for damage.
const RESTARTS_MAX: u32 = 100_000;

/// Asks the page of `tree` at `level` that is for `target`; its number and the answer.
pub fn descend<S: PageSource, Q: PageQuery>(
    source: &S,
    tree: Tree,
    level: u8,
    target: Target<'_>,
    query: &mut Q,
) -> Result<(PageId, Q::Answer)> {
    let backoff = Backoff::new();
    let mut lost_at = tree.root;
    for _ in 0..RESTARTS_MAX {
        match attempt(source, tree, level, target, query)? {
            Ok(found) => return Ok(found),
            Err(page) => lost_at = page,
        }
        if !S::SHARED {
            break;
        }
        backoff.snooze();
    }
    Err(KernelError::misshapen(lost_at, "not where its tree has it"))
}

/// One way down; the page where it was lost.
fn attempt<S: PageSource, Q: PageQuery>(
    source: &S,
    tree: Tree,
    level: u8,
    target: Target<'_>,
    query: &mut Q,
) -> Result<Result<(PageId, Q::Answer), PageId>> {
    let (mut page, mut page_level) = (tree.root, None);
    for _ in 0..=LEVELS_MAX {
        let mut visit = Visit {
            tree,
            page,
            page_level,
            level,
            target,
            query,
        };
        match source.query(page, &mut visit)? {
            Arrival::There(answer) => return Ok(Ok((page, answer))),
            Arrival::Child(child, child_level) => (page, page_level) = (child, Some(child_level)),
            Arrival::Lost => break,
        }
    }
    Ok(Err(page))
}

enum Arrival<A> {
    There(A),
    /// A child and its level.
    Child(PageId, u8),
    /// The page is not for the target.
    Lost,
}

struct Visit<'q, 'k, Q> {
    tree: Tree,
    page: PageId,
    /// Level that the page must have; of the root any.
    page_level: Option<u8>,
    /// Level of the page that is asked.
    level: u8,
    target: Target<'k>,
    query: &'q mut Q,
}

impl<Q: PageQuery> PageQuery for Visit<'_, '_, Q> {
    type Answer = Arrival<Q::Answer>;

    fn ask<P: PageRead + ?Sized>(&mut self, page: &P) -> Result<Self::Answer, Torn> {
        let level = page.u8(header::LEVEL)?;
        let place = Place {
            page: self.page,
            owner: self.tree.owner,
            level: self.page_level.unwrap_or(level),
        };
        if level < self.level || !node::is_at(page, place)? || !self.is_for_target(page)? {
            return Ok(Arrival::Lost);
        }
        if level == self.level {
            return Ok(Arrival::There(self.query.ask(page)?));
        }
        let child = match self.target {
            Target::At(key) => node::child_for(page, key)?,
            Target::Before(key) => node::child_before(page, key)?,
            Target::Last => node::last_child(page)?,
        };
        Ok(Arrival::Child(child, level - 1))
    }
}

impl<Q> Visit<'_, '_, Q> {
    fn is_for_target<P: PageRead + ?Sized>(&self, page: &P) -> Result<bool, Torn> {
        Ok(match self.target {
            Target::At(key) => {
                node::compare_lower(page, key)?.is_le() && node::compare_upper(page, key)?.is_gt()
            }
            Target::Before(key) => {
                node::compare_lower(page, key)?.is_lt() && node::compare_upper(page, key)?.is_ge()
            }
            Target::Last => !node::has_upper_fence(page)?,
        })
    }
}

/// Asks nothing: for the page's number alone.
pub struct Which;

impl PageQuery for Which {
    type Answer = ();

    fn ask<P: PageRead + ?Sized>(&mut self, _: &P) -> Result<(), Torn> {
        Ok(())
    }
}
