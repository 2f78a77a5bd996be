use assay_proto::Timestamp;
use assay_recording::Difference;
use serde_json::{Value, json};

use super::{Row, Totals};

/// One object: `results`, one a file, and `totals`.
pub fn report(rows: &[Row], totals: &Totals) -> Value {
    json!({
        "results": rows.iter().map(row).collect::<Vec<_>>(),
        "totals": {
            "recordings": totals.recordings,
            "same": totals.same,
            "different": totals.different,
            "unreadable": totals.unreadable,
            "under_embedded_roots": totals.own_root,
        },
    })
}

fn row(row: &Row) -> Value {
    match &row.replayed {
        Ok(replayed) => json!({
            "file": row.file,
            "result": row.result(),
            "source": replayed.source,
            "time": replayed.time.to_string(),
            "judged_at": Timestamp(replayed.judged_at).to_string(),
            "recorded": replayed.recorded,
            "replayed": replayed.verdict,
            "root_sha256": replayed.root_sha256,
            "embedded_root_trusted": replayed.own_root,
            "differences": replayed.differences.iter().map(difference).collect::<Vec<_>>(),
        }),
        Err(error) => json!({
            "file": row.file,
            "result": row.result(),
            "error": error,
        }),
    }
}

fn difference(difference: &Difference) -> Value {
    json!({
        "field": difference.field,
        "recorded": difference.recorded,
        "replayed": difference.replayed,
    })
}
