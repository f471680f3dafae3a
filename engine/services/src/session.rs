//! The `session` module: login sessions as they begin and end.

use std::time::Duration;

use futures::stream;
use rustydb_contract::stream::Subscription;
use rustydb_contract::{CallContext, ServiceResult, async_trait};
use rustydb_contract_session::{SessionEvent, SessionService, SessionSessionEventsInput};
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::identity::IdentityService;

/// How often a subscription looks for sessions that have run out.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Time before the next look after one that failed.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(60);

/// Answers the `session` views from the identities.
pub struct Sessions {
    identity: IdentityService,
}

impl Sessions {
    pub fn new(identity: IdentityService) -> Sessions {
        Sessions { identity }
    }
}

#[async_trait]
impl SessionService for Sessions {
    async fn session_events(
        &self,
        _: &CallContext,
        input: SessionSessionEventsInput,
    ) -> ServiceResult<Subscription<SessionEvent>> {
        let user = input.user_filter;
        let events = self.identity.session_events().subscribe(move |event| {
            let wanted = |user: &String| *user == event.user_id || *user == event.username;
            user.as_ref().is_none_or(wanted).then(|| event.clone())
        });
        let mut looks = interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let watching = Watching {
            events,
            looks,
            identity: self.identity.clone(),
        };
        let items = stream::unfold(watching, async |mut watching| {
            loop {
                tokio::select! {
                    item = watching.events.next() => return item.map(|item| (item, watching)),
                    _ = watching.looks.tick() => watching.look().await,
                }
            }
        });
        Ok(Subscription::new(None, items))
    }
}

struct Watching {
    events: Subscription<SessionEvent>,
    looks: Interval,
    identity: IdentityService,
}

impl Watching {
    /// What is found is told to everybody who watches. A store that fails is left alone for a while.
    async fn look(&mut self) {
        if let Err(error) = self.identity.end_expired_sessions().await {
            tracing::warn!(%error, "sessions that have run out could not be removed");
            self.looks.reset_after(LOOK_AGAIN_AFTER);
        }
    }
}
