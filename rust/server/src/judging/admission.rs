//! The enforcement point that asks, and the configuration that answers it.

use callgate_core::Pep;
use tonic::Status;

use crate::approvals::Asking;
use crate::deadline::{self, Deadline};
use crate::identity::{Asker, UnknownPepError};
use crate::in_force::Configuration;
use crate::proxy::ProxyConfig;

/// An enforcement point that may ask, under one configuration.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Admission<'c> {
    /// The configuration that admits it, and that its question is answered by.
    pub(crate) configuration: &'c Configuration,
    pub(crate) pep: Pep,
    /// The reading of the requests that it asks about.
    pub(crate) proxies: &'c ProxyConfig,
    /// The stage of its call, if that can wait for an approval.
    pub(crate) asking: &'c Asking,
}

impl<'c> Admission<'c> {
    /// Admits a proxy that was known when its request began, if it still is.
    pub(crate) fn of(
        configuration: &'c Configuration,
        asking: &'c Asking,
        asker: Option<&Asker>,
    ) -> Result<Self, UnknownPepError> {
        let parts = &configuration.parts;
        Ok(Self {
            configuration,
            pep: parts.peps.still(asker)?,
            proxies: &parts.proxies,
            asking,
        })
    }

    /// Admits a proxy that asks by gRPC, from what its connection says of it; refuses a question whose deadline is over.
    pub(crate) fn of_call(
        configuration: &'c Configuration,
        asking: &'c Asking,
        (asker, deadline): (Option<&Asker>, Option<Deadline>),
    ) -> Result<Self, Status> {
        if deadline.is_some_and(Deadline::is_over) {
            return Err(deadline::over());
        }
        Self::of(configuration, asking, asker).map_err(|unknown| Status::unauthenticated(unknown.message()))
    }
}
