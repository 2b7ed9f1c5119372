//! The time for which a connection is kept.

use std::time::Duration;

use http::{HeaderMap, HeaderName};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");

/// Subtracted from the time that a server announces, because a request on its way at the end of it would meet the
/// close.
const MARGIN: Duration = Duration::from_secs(1);

/// The longest time that is believed of a server; something between may close the connection earlier, and says nothing.
const MOST: Duration = Duration::from_secs(30);

/// The time for which the server keeps the connection of this reply, if it says so: `Keep-Alive: timeout=5, max=100`.
pub(super) fn announced(fields: &HeaderMap) -> Option<Duration> {
    let values = fields.get_all(KEEP_ALIVE).iter();
    let seconds = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|parameter| {
            let (name, seconds) = parameter.split_once('=')?;
            if !name.trim().eq_ignore_ascii_case("timeout") {
                return None;
            }
            seconds.trim().trim_matches('"').parse().ok()
        });
    // Of two times the shorter one is safe.
    seconds.min().map(Duration::from_secs)
}

/// The time to keep a connection whose server keeps it for the `announced` time; `usual` is the default.
pub(super) fn kept(announced: Option<Duration>, usual: Duration) -> Duration {
    announced.map_or(usual, |announced| {
        let margin = MARGIN.min(announced / 2);
        announced.saturating_sub(margin).min(MOST.max(usual))
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn the_server_s_time_counts_less_a_margin() {
        const USUAL: Duration = Duration::from_secs(4);
        for (values, kept_ms) in [
            (&["timeout=5"][..], 4_000),
            (&["timeout=1"], 500),
            (&["timeout=2"], 1_000),
            (&["timeout=0"], 0),
            (&["max=100, Timeout = \"10\""], 9_000),
            (&["timeout=20", "timeout=3"], 2_000),
            (&["timeout=75"], 30_000),
            (&["timeout=18446744073709551615"], 30_000),
            (&[], 4_000),
            (&["max=100"], 4_000),
            (&["timeout"], 4_000),
            (&["timeout=-1"], 4_000),
            (&["timeout=soon, x-timeout=1"], 4_000),
        ] {
            let mut fields = HeaderMap::new();
            for value in values {
                fields.append(KEEP_ALIVE, HeaderValue::from_static(value));
            }
            let kept = kept(announced(&fields), USUAL);
            assert_eq!(kept, Duration::from_millis(kept_ms), "{values:?}");
        }
    }

    #[test]
    fn a_longer_configured_time_bounds_what_is_believed() {
        let (day, minute) = (Duration::from_secs(86_400), Duration::from_secs(60));
        assert_eq!(kept(Some(day), minute), minute);
    }
}
