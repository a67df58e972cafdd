//! A text that callers share: it is made at most ten times a second, however many ask for it.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::body::Bytes;

/// How long a text is handed out before it is made again. Monitoring asks less often; under a flood
/// of requests the node still spends almost no time on making it.
const FRESH_FOR: Duration = Duration::from_millis(100);

/// The text that was made last.
#[derive(Debug, Default)]
pub struct Recent(Mutex<Option<(Instant, Bytes)>>);

impl Recent {
    /// The last text, or, if that is too old, a new one. Callers that come meanwhile wait for it.
    pub fn get(&self, now: Instant, make: impl FnOnce() -> String) -> Bytes {
        // a text is whole or was never kept
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*last {
            Some((at, text)) if now.saturating_duration_since(*at) < FRESH_FOR => text.clone(),
            _ => {
                let text = Bytes::from(make());
                *last = Some((now, text.clone()));
                text
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_made_once_however_many_ask_and_anew_when_it_is_old() {
        let (recent, start) = (Recent::default(), Instant::now());
        let mut made = 0;
        for millis in 0..250 {
            let text = recent.get(start + Duration::from_millis(millis), || {
                made += 1;
                millis.to_string()
            });
            assert_eq!(text, (millis / 100 * 100).to_string());
        }
        assert_eq!(made, 3);
    }
}
