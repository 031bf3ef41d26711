//! Plain numbers for the metrics.

/// What the queue of a shard has and has done. Samples are those since the last look.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Counters {
    /// Messages by state: active, deferred, held (`queue_messages`).
    pub messages: [u64; 3],
    /// Unfinished recipients by state: active, deferred, held (`queue_recipients`).
    pub recipients: [u64; 3],
    /// Age of the oldest message in seconds (`queue_oldest_seconds`).
    pub oldest_seconds: f64,
    /// Batches written since the last look, in seconds each (`spool_commit_seconds`).
    pub commit_seconds: Vec<f64>,
    /// Records in each of them (`spool_commit_messages`).
    pub commit_messages: Vec<f64>,
    /// Bytes of live records (`spool_bytes{kind="live"}`).
    pub live_bytes: u64,
    /// Bytes of dead records in segments that still have live ones.
    pub dead_bytes: u64,
    /// Bytes that the file system still has.
    pub free_bytes: u64,
    /// Writes and syncs that failed (`spool_failures_total`).
    pub failures: u64,
    /// Damage found (`spool_quarantined_total`).
    pub quarantined: u64,
    /// Reports queued (`dsn_total{outcome="sent"}`).
    pub dsn_sent: u64,
    /// Reports that nobody could get (`dsn_total{outcome="dropped"}`).
    pub dsn_dropped: u64,
}
