//! The requests of a client that have gone on to the server and wait for their replies.

use std::collections::{HashMap, VecDeque};

use super::fault::LineError;
use crate::id::RequestId;
use callgate_gateway::pins::Listing;

/// Requests that may wait at once.
pub(super) const MOST_OPEN: usize = 4_096;

/// Cancelled requests whose replies may still come; most never do. Those for lists are not among them.
const MOST_CANCELLED: usize = 1_024;

/// The properties of an open request.
#[derive(Clone, Debug)]
struct Entry {
    /// Its reply is a list of tools, as was asked for here.
    lists: Option<Listing>,
    is_cancelled: bool,
}

/// The open requests of one client.
#[derive(Debug, Default)]
pub(super) struct Open {
    requests: HashMap<RequestId, Entry>,
    /// Cancelled requests, except those for lists, oldest first; some may have been answered since.
    cancelled: VecDeque<RequestId>,
    /// The number of requests for lists, cancelled ones included.
    lists: usize,
    cancelled_count: usize,
}

impl Open {
    /// Checks that a request may be opened under this id.
    pub(super) fn admits(&self, id: &RequestId) -> Result<(), LineError> {
        if self.requests.contains_key(id) {
            return Err(LineError::IdInUse);
        }
        if self.waiting() >= MOST_OPEN || self.lists >= MOST_OPEN {
            return Err(LineError::TooManyOpen);
        }
        Ok(())
    }

    /// Opens a request; [`Open::admits`] has been asked.
    pub(super) fn insert(&mut self, id: RequestId, lists: Option<Listing>) {
        self.lists += usize::from(lists.is_some());
        let entry = Entry {
            lists,
            is_cancelled: false,
        };
        if let Some(before) = self.requests.insert(id, entry) {
            self.uncount(&before);
        }
    }

    /// The client waits no more for this one, or may not. Its reply may come all the same.
    pub(super) fn cancel(&mut self, id: &RequestId) {
        let Some(entry) = self.requests.get_mut(id).filter(|entry| !entry.is_cancelled) else {
            return;
        };
        entry.is_cancelled = true;
        self.cancelled_count += 1;
        if entry.lists.is_some() {
            // Never forgotten: a list that comes late must be known for one, and its id must be nobody else's.
            return;
        }
        self.cancelled.push_back(id.clone());
        while self.cancelled.len() > MOST_CANCELLED {
            let Some(oldest) = self.cancelled.pop_front() else {
                return;
            };
            // One that was answered, and whose id may be in use again, is none of these.
            let is_cancelled = |entry: &Entry| entry.is_cancelled;
            if self.requests.get(&oldest).is_some_and(is_cancelled)
                && let Some(entry) = self.requests.remove(&oldest)
            {
                self.uncount(&entry);
            }
        }
    }

    /// A reply has come; whether it was waited for.
    pub(super) fn close(&mut self, id: &RequestId) -> bool {
        let Some(entry) = self.requests.remove(id) else {
            return false;
        };
        self.uncount(&entry);
        true
    }

    /// Returns true if the reply to this request is a list of tools; `None` if there is no such request.
    pub(super) fn lists(&self, id: &RequestId) -> Option<bool> {
        self.requests.get(id).map(|entry| entry.lists.is_some())
    }

    /// Returns the list that this request has asked for.
    pub(super) fn listing(&self, id: &RequestId) -> Listing {
        let entry = self.requests.get(id);
        entry.and_then(|entry| entry.lists.clone()).unwrap_or_default()
    }

    /// Returns true if a reply that arrives now may be a list of tools.
    pub(super) const fn awaits_list(&self) -> bool {
        self.lists > 0
    }

    /// The number of replies that the client waits for.
    pub(super) fn waiting(&self) -> usize {
        self.requests.len() - self.cancelled_count
    }

    /// Closes all requests; returns the ids of those that the client waits for.
    pub(super) fn close_all(&mut self) -> Vec<RequestId> {
        let requests = std::mem::take(self).requests;
        let waiting = requests.into_iter().filter(|(_, entry)| !entry.is_cancelled);
        waiting.map(|(id, _)| id).collect()
    }

    fn uncount(&mut self, entry: &Entry) {
        self.lists -= usize::from(entry.lists.is_some());
        self.cancelled_count -= usize::from(entry.is_cancelled);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use callgate_gateway::pins::Page;

    fn id(number: usize) -> RequestId {
        RequestId::Number(number.to_string())
    }

    #[test]
    fn an_id_is_in_use_until_its_reply_comes() {
        let mut open = Open::default();
        assert_eq!(open.admits(&id(1)), Ok(()));
        open.insert(id(1), None);
        assert_eq!(open.admits(&id(1)), Err(LineError::IdInUse));
        assert_eq!(open.admits(&RequestId::Text("1".to_owned())), Ok(()));
        assert_eq!((open.lists(&id(1)), open.lists(&id(2))), (Some(false), None));
        assert!(open.close(&id(1)) && !open.close(&id(1)));
        assert_eq!((open.admits(&id(1)), open.waiting()), (Ok(()), 0));
    }

    #[test]
    fn lists_are_awaited_also_those_that_were_cancelled() {
        let mut open = Open::default();
        open.insert(id(1), Some(Page::First.into()));
        open.insert(id(2), Some(Page::At("2".into()).into()));
        assert_eq!(
            [1, 2, 3].map(|number| open.listing(&id(number)).page),
            [Page::First, Page::At("2".into()), Page::Unknown]
        );
        open.cancel(&id(1));
        assert_eq!((open.awaits_list(), open.waiting()), (true, 1));
        open.close(&id(2));
        assert!(open.awaits_list());
        open.close(&id(1));
        assert_eq!((open.awaits_list(), open.waiting()), (false, 0));
    }

    #[test]
    fn cancelled_requests_take_no_place_but_those_for_lists_are_kept() {
        let mut open = Open::default();
        for number in 0..=MOST_CANCELLED + 1 {
            open.insert(id(number), (number == 0).then(|| Page::First.into()));
            open.cancel(&id(number));
            open.cancel(&id(number));
        }
        assert_eq!((open.waiting(), open.requests.len()), (0, MOST_CANCELLED + 1));
        assert_eq!(
            [0, 1, 2].map(|number| open.lists(&id(number))),
            [Some(true), None, Some(false)]
        );
        assert!(open.awaits_list(), "its reply may still come");
        assert_eq!(
            open.admits(&id(0)),
            Err(LineError::IdInUse),
            "it would come under another request's id"
        );
        for number in 0..MOST_OPEN {
            let id = RequestId::Text(number.to_string());
            assert_eq!(open.admits(&id), Ok(()));
            open.insert(id, None);
        }
        assert_eq!(
            open.admits(&RequestId::Text("x".to_owned())),
            Err(LineError::TooManyOpen)
        );
        assert_eq!(open.close_all().len(), MOST_OPEN);
        assert_eq!(open.waiting(), 0);
    }

    #[test]
    fn lists_that_were_cancelled_are_bounded() {
        let mut open = Open::default();
        for number in 0..MOST_OPEN {
            assert_eq!(open.admits(&id(number)), Ok(()));
            open.insert(id(number), Some(Page::First.into()));
            open.cancel(&id(number));
        }
        assert_eq!(open.waiting(), 0);
        assert_eq!(open.admits(&id(MOST_OPEN)), Err(LineError::TooManyOpen));
        assert!(open.close(&id(0)));
        assert_eq!(open.admits(&id(MOST_OPEN)), Ok(()));
    }

    #[test]
    fn an_id_used_again_after_its_cancelled_request_was_answered_is_not_forgotten() {
        let mut open = Open::default();
        open.insert(id(0), None);
        open.cancel(&id(0));
        open.close(&id(0));
        open.insert(id(0), None);
        for number in 1..=MOST_CANCELLED {
            open.insert(id(number), None);
            open.cancel(&id(number));
        }
        assert_eq!((open.lists(&id(0)), open.waiting()), (Some(false), 1));
    }
}
