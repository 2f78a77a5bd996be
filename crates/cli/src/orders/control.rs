//! A Unix socket in the server's directory, by which `assay orders` asks the
//! running server: the database lets only one process in.
//!
//! One question and one answer a connection, each a line of JSON. Whoever may
//! enter the directory (mode 0700) may ask.

use std::{io, sync::Arc, time::Duration};

use assay_engine::ports::Store;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{UnixListener, UnixStream},
    time::timeout,
};

use super::{Answer, Question};
use crate::dir::Dir;

const PATIENCE: Duration = Duration::from_secs(10);
const MAX_QUESTION: u64 = 4096;

/// Asks the running server. `None` when none runs.
pub async fn ask(dir: &Dir, question: &Question) -> Option<anyhow::Result<Answer>> {
    let mut stream = UnixStream::connect(dir.control()).await.ok()?;
    let exchange = async {
        let mut line = serde_json::to_vec(question)?;
        line.push(b'\n');
        stream.write_all(&line).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        Ok(serde_json::from_slice(&answer)?)
    };
    Some(match timeout(PATIENCE, exchange).await {
        Ok(answer) => answer,
        Err(late) => Err(late.into()),
    })
}

/// Listens for questions. The database must be open already: that nobody else
/// has it makes a socket that is still there a dead process's.
pub fn listen(dir: &Dir) -> io::Result<UnixListener> {
    let path = dir.control();
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    UnixListener::bind(path)
}

/// Answers questions, for ever.
pub async fn serve(listener: UnixListener, store: Arc<dyn Store>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let store = Arc::clone(&store);
                tokio::spawn(async move {
                    match timeout(PATIENCE, reply(stream, store.as_ref())).await {
                        Ok(Ok(())) => {}
                        Ok(Err(error)) => {
                            tracing::debug!(error = %format!("{error:#}"), "a question about orders was not answered")
                        }
                        Err(_) => tracing::debug!("a question about orders took too long"),
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot take questions about orders");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

async fn reply(stream: UnixStream, store: &dyn Store) -> anyhow::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut line = String::new();
    BufReader::new(reader.take(MAX_QUESTION))
        .read_line(&mut line)
        .await?;
    let answer = super::answer(store, &serde_json::from_str(&line)?).await?;
    writer.write_all(&serde_json::to_vec(&answer)?).await?;
    writer.shutdown().await?;
    Ok(())
}
