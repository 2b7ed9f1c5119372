//! Properties of a schema, each with its parent property.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::json::Value;

/// The indexes of the properties of one object, by their keys.
type Members = BTreeMap<Arc<str>, usize>;

/// A tree of properties. The index of a property is higher than that of its parent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Properties {
    steps: Vec<Step>,
    top: Members,
}

/// One property.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Step {
    key: Arc<str>,
    /// The parent property; `None` at the top.
    parent: Option<usize>,
    inner: Members,
}

impl Properties {
    /// The number of properties.
    pub(super) const fn len(&self) -> usize {
        self.steps.len()
    }

    /// The index of the property with this key in `parent`, added if it does not exist.
    pub(super) fn add(&mut self, parent: Option<usize>, key: &str) -> usize {
        let place = self.steps.len();
        let key: Arc<str> = key.into();
        let Some(members) = self.members(parent) else {
            return place;
        };
        let known = *members.entry(Arc::clone(&key)).or_insert(place);
        if known == place {
            self.steps.push(Step {
                key,
                parent,
                inner: Members::new(),
            });
        }
        known
    }

    /// Removes the last property, which must have no children.
    pub(super) fn remove_last(&mut self) {
        if let Some(last) = self.steps.pop()
            && let Some(members) = self.members(last.parent)
        {
            members.remove(&last.key);
        }
    }

    /// Adds the properties of another tree, and returns their indexes in this one.
    pub(super) fn extend(&mut self, other: &Self) -> Vec<usize> {
        let mut places: Vec<usize> = Vec::with_capacity(other.len());
        for step in &other.steps {
            let parent = step.parent.and_then(|parent| places.get(parent).copied());
            places.push(self.add(parent, &step.key));
        }
        places
    }

    /// The values of all properties by their indexes, if an object has them; reads each member once.
    pub(super) fn values<'v>(&self, object: Value<'v>) -> Vec<Option<Value<'v>>> {
        let mut values = vec![None; self.steps.len()];
        let mut open = vec![(&self.top, object)];
        while let Some((members, object)) = open.pop() {
            for (key, value) in object.members() {
                if let Some(&place) = members.get(key)
                    && let (Some(found), Some(step)) = (values.get_mut(place), self.steps.get(place))
                {
                    *found = Some(value);
                    if !step.inner.is_empty() {
                        open.push((&step.inner, value));
                    }
                }
            }
        }
        values
    }

    /// The keys that lead to a property.
    pub(super) fn path(&self, property: usize) -> Vec<&str> {
        let mut keys = Vec::new();
        let mut next = self.steps.get(property);
        while let Some(step) = next {
            keys.push(&*step.key);
            next = step.parent.and_then(|parent| self.steps.get(parent));
        }
        keys.reverse();
        keys
    }

    fn members(&mut self, parent: Option<usize>) -> Option<&mut Members> {
        match parent {
            None => Some(&mut self.top),
            Some(parent) => Some(&mut self.steps.get_mut(parent)?.inner),
        }
    }
}
