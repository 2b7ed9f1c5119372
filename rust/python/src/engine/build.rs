//! The functions that make an engine, and those that replace its policies.

use std::path::PathBuf;

use pyo3::prelude::*;
use pyo3::types::{PyAny, PyDict};

use super::Engine;
use super::inner::compile;
use crate::sizes::Sizes;
use crate::{args, load, setup};

#[pymethods]
impl Engine {
    /// Reads a policy file, which serves every server, or a folder of them, in which a file's stem names its server.
    ///
    /// Args:
    ///     path: ``*.json``, ``*.yaml`` or ``*.yml``, or a folder of such files.
    ///     catalogue: Facts about the tools.
    ///     **sizes: The sizes of the engine, and the place of its counters; see `Engine`.
    ///
    /// Raises:
    ///     PolicyError: A document has a fault.
    ///     ConfigError: A file cannot be read, a folder contains no policy, or `counters` is not a valid place.
    ///     StoreError: The counters' file is in use, damaged, foreign or newer, or the disk is full.
    #[staticmethod]
    #[pyo3(signature = (path, catalogue = None, **sizes))]
    fn from_file(
        py: Python<'_>,
        path: PathBuf,
        catalogue: Option<&Bound<'_, PyAny>>,
        sizes: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        let sizes = Sizes::read("Engine.from_file()", sizes)?;
        let state = compile(py, catalogue, move || load::policies_at(&path))?;
        Self::build(py, state, &sizes)
    }

    /// Takes a policy for every server as Python values; numbers are exact, including `decimal.Decimal`.
    ///
    /// Raises:
    ///     PolicyError: The document has a fault.
    #[staticmethod]
    #[pyo3(signature = (policy, catalogue = None, **sizes))]
    fn from_dict(
        py: Python<'_>,
        policy: &Bound<'_, PyDict>,
        catalogue: Option<&Bound<'_, PyAny>>,
        sizes: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        let sizes = Sizes::read("Engine.from_dict()", sizes)?;
        Self::in_memory(py, policy, catalogue, &sizes)
    }

    /// Takes a policy for every server as a JSON document.
    ///
    /// Raises:
    ///     PolicyError: The document has a fault.
    #[staticmethod]
    #[pyo3(signature = (policy, catalogue = None, **sizes))]
    fn from_json(
        py: Python<'_>,
        policy: &Bound<'_, PyAny>,
        catalogue: Option<&Bound<'_, PyAny>>,
        sizes: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        let sizes = Sizes::read("Engine.from_json()", sizes)?;
        Self::in_memory(py, policy, catalogue, &sizes)
    }

    /// Takes a whole configuration, with the contents of its files.
    ///
    /// Args:
    ///     policies: Policies by key: the file's name and its contents. The suffix of the name gives the format, and
    ///         messages contain the name.
    ///     servers: The known servers, each with the key of the policy that decides as long as no grants are
    ///         configured; None denies all calls, ``(no policy)``.
    ///     grants: Each with ``id``; ``server`` and ``policy`` (a key; if absent, every call is denied), or
    ///         ``servers``, a mapping of servers to such keys; ``token_hash`` (see `hash_token`), or ``tokens``, at
    ///         most two, each with ``hash`` and optionally its end ``until_us`` (with neither, only a PEP that vouches
    ///         can name it); ``labels``, ``expires_at_us`` and ``revoked``. Times are microseconds since 1970. With an
    ///         empty list every call is denied, ``(unknown grant)``. With None, callers name the grant that is charged.
    ///     grant_key: 32 bytes, the key of the token hashes.
    ///     catalogue: Facts about the tools.
    ///     rate_limits: Files of rate limits: the name of each, whose suffix gives the format, and its contents.
    ///     candidates: Servers, each with the key of the policy that a `Server` weighs beside its own and that decides
    ///         nothing (``docs/replay.md``).
    ///     **sizes: See `from_file`.
    ///
    /// Raises:
    ///     PolicyError: A document has a fault.
    ///     ConfigError: Another part has a fault; the message names the server or grant.
    #[staticmethod]
    #[pyo3(signature = (
        *, policies, servers, grants = None, grant_key = None, catalogue = None, rate_limits = None, candidates = None,
        **sizes
    ))]
    #[expect(
        clippy::too_many_arguments,
        reason = "one keyword per part of a configuration"
    )]
    fn from_config(
        py: Python<'_>,
        policies: &Bound<'_, PyAny>,
        servers: &Bound<'_, PyAny>,
        grants: Option<&Bound<'_, PyAny>>,
        grant_key: Option<&[u8]>,
        catalogue: Option<&Bound<'_, PyAny>>,
        rate_limits: Option<&Bound<'_, PyAny>>,
        candidates: Option<&Bound<'_, PyAny>>,
        sizes: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        let sizes = Sizes::read("Engine.from_config()", sizes)?;
        let state = setup::state(
            py,
            (policies, servers, candidates),
            (grants, grant_key),
            catalogue,
            rate_limits,
        )?;
        Self::build(py, state, &sizes)
    }

    /// Makes an engine with the policies, servers and grants in force here, and no counts.
    ///
    /// For simulations whose calls must not count for each other; nothing is read or compiled again. Freezes stay here.
    ///
    /// Args:
    ///     **sizes: See `from_file`; they are not those of this engine.
    ///
    /// Raises:
    ///     ConfigError: `counters` is not a valid place.
    ///     StoreError: The counters' file is in use, damaged, foreign or newer, or the disk is full.
    #[pyo3(signature = (**sizes))]
    fn with_new_counters(&self, py: Python<'_>, sizes: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        let sizes = Sizes::read("Engine.with_new_counters()", sizes)?;
        Self::build(py, self.core.snapshot().anew(), &sizes)
    }

    /// Reloads like `reload_file`, with the arguments of `from_config`.
    #[pyo3(signature = (
        *, policies, servers, grants = None, grant_key = None, catalogue = None, rate_limits = None, candidates = None
    ))]
    #[expect(
        clippy::too_many_arguments,
        reason = "one keyword per part of a configuration"
    )]
    fn reload_config(
        &self,
        py: Python<'_>,
        policies: &Bound<'_, PyAny>,
        servers: &Bound<'_, PyAny>,
        grants: Option<&Bound<'_, PyAny>>,
        grant_key: Option<&[u8]>,
        catalogue: Option<&Bound<'_, PyAny>>,
        rate_limits: Option<&Bound<'_, PyAny>>,
        candidates: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let state = setup::state(
            py,
            (policies, servers, candidates),
            (grants, grant_key),
            catalogue,
            rate_limits,
        )?;
        py.detach(|| self.core.reload(state));
        Ok(())
    }

    /// Replaces the policies by those that `from_file` would read; counters of unchanged identity keep their units.
    ///
    /// Raises:
    ///     PolicyError: A document has a fault. The old policies stay in force.
    ///     ConfigError: A file cannot be read. The old policies stay in force.
    #[pyo3(signature = (path, catalogue = None))]
    fn reload_file(
        &self,
        py: Python<'_>,
        path: PathBuf,
        catalogue: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        self.core
            .reload(compile(py, catalogue, move || load::policies_at(&path))?);
        Ok(())
    }

    /// Reloads like `reload_file`, with a policy in the form of `from_dict`.
    #[pyo3(signature = (policy, catalogue = None))]
    fn reload_dict(
        &self,
        py: Python<'_>,
        policy: &Bound<'_, PyDict>,
        catalogue: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        self.reload_json(py, policy, catalogue)
    }

    /// Reloads like `reload_file`, with a policy in the form of `from_json`.
    #[pyo3(signature = (policy, catalogue = None))]
    fn reload_json(
        &self,
        py: Python<'_>,
        policy: &Bound<'_, PyAny>,
        catalogue: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let document = args::to_json(policy)?;
        self.core
            .reload(compile(py, catalogue, || load::policy_in_memory(&document))?);
        Ok(())
    }
}
