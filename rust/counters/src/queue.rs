//! Queues through the elements of one list: joined at the end, left at any place, in constant time.

/// The neighbours of an element in one queue.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Links {
    before: Option<u32>,
    after: Option<u32>,
}

/// An element of a list that is in several queues, each by its number.
pub(crate) trait Queued {
    /// Its neighbours in a queue.
    fn links(&mut self, queue: usize) -> &mut Links;
}

/// The two ends of a queue.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ends {
    first: Option<u32>,
    last: Option<u32>,
    len: usize,
}

impl Ends {
    /// Returns the number of elements in the queue.
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// Returns the element that has been in the queue longest.
    pub(crate) const fn first(&self) -> Option<u32> {
        self.first
    }
}

/// Puts an element, which is in no queue of this number, at the end of one.
pub(crate) fn append<T: Queued>(elements: &mut [T], ends: &mut Ends, queue: usize, index: u32) {
    *elements[index as usize].links(queue) = Links {
        before: ends.last,
        after: None,
    };
    match ends.last {
        Some(last) => elements[last as usize].links(queue).after = Some(index),
        None => ends.first = Some(index),
    }
    ends.last = Some(index);
    ends.len += 1;
}

/// Takes an element out of a queue that it is in.
pub(crate) fn unlink<T: Queued>(elements: &mut [T], ends: &mut Ends, queue: usize, index: u32) {
    let Links { before, after } = std::mem::take(elements[index as usize].links(queue));
    match before {
        Some(before) => elements[before as usize].links(queue).after = after,
        None => ends.first = after,
    }
    match after {
        Some(after) => elements[after as usize].links(queue).before = before,
        None => ends.last = before,
    }
    ends.len -= 1;
}
