//! A Unix socket in the server's directory, by which `assay orders`, `assay
//! status` and `assay store accept-clock` ask the running server: the database
//! lets only one process in.
//!
//! One [`Request`] and one [`Response`] a connection, each a line of JSON; a
//! request that cannot be read or answered has [`Response::Failed`]. A user who may
//! enter the directory (mode 0700) may ask.

use std::{
    fs::Permissions,
    io,
    os::unix::fs::PermissionsExt as _,
    sync::{Arc, LazyLock},
    time::{Duration, Instant},
};

use anyhow::{Context as _, anyhow, bail};
use assay_engine::{
    Engine,
    operator::{self, Running, Sources},
    ports::Store,
};
use assay_proto::admin::{Request, Response};
use rustix::fs::Access;
use tokio::{
    io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{UnixListener, UnixStream},
    time::timeout,
};

use crate::{dir::Dir, permissions, stop::Stop};

const PATIENCE: Duration = Duration::from_secs(10);
const MAX_QUESTION: usize = 4096;

/// When this process began to serve.
static STARTED: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Records the time at which the server begins to serve.
pub fn begin() {
    LazyLock::force(&STARTED);
}

/// The state that operator requests of `engine` are answered from.
fn running(engine: &Engine) -> Running<'_> {
    Running {
        engine,
        uptime_seconds: STARTED.elapsed().as_secs(),
        version: env!("CARGO_PKG_VERSION"),
    }
}

/// Asks the running server. `None` when none runs.
///
/// # Errors
/// This user may not ask: whether a server runs is not known then.
pub async fn ask(dir: &Dir, request: &Request) -> Result<Option<anyhow::Result<Response>>, Stop> {
    let path = dir.control();
    let mut stream = match UnixStream::connect(&path).await {
        Ok(stream) => stream,
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            let wanted = Access::READ_OK | Access::WRITE_OK;
            return Err(Stop::usage(anyhow!(permissions::denied(&path, wanted))));
        }
        Err(_) => return Ok(None),
    };
    let exchange = async {
        let mut line = serde_json::to_vec(request)?;
        line.push(b'\n');
        stream.write_all(&line).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        match serde_json::from_slice(&answer)? {
            Response::Failed(why) => Err(anyhow!(why)),
            answer => Ok(answer),
        }
    };
    Ok(Some(match timeout(PATIENCE, exchange).await {
        Ok(answer) => answer,
        Err(late) => Err(late.into()),
    }))
}

/// That the running server is of another version, most likely.
pub fn another_answer() -> Stop {
    Stop::fault(anyhow!(
        "the running server answered something else than it was asked"
    ))
}

/// Listens for questions. The database must be open already: that nobody else
/// has it makes a socket that is still there a dead process's.
pub fn listen(dir: &Dir) -> io::Result<UnixListener> {
    let path = dir.control();
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&path)?;
    // The directory lets its owner in alone, and so does the socket.
    std::fs::set_permissions(&path, Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Answers questions until it is dropped: about the orders in `store`, and to
/// `engine`, whose clock an operator confirms.
pub async fn serve(listener: UnixListener, store: Arc<dyn Store>, engine: Arc<Engine>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let (store, engine) = (Arc::clone(&store), Arc::clone(&engine));
                tokio::spawn(async move {
                    match timeout(PATIENCE, reply(stream, store.as_ref(), &engine)).await {
                        Ok(Ok(())) => {}
                        Ok(Err(error)) => {
                            tracing::debug!(error = %format!("{error:#}"), "a question on the control socket was not answered")
                        }
                        Err(_) => tracing::debug!("a question on the control socket took too long"),
                    }
                });
            }
            Err(error) => {
                tracing::warn!(event = "control_socket_failed", %error, "cannot take questions on the control socket");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

async fn reply(stream: UnixStream, store: &dyn Store, engine: &Engine) -> anyhow::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let answer = match question(&mut BufReader::new(reader)).await {
        Ok(request) => {
            let running = Some(running(engine));
            // The clock may be wrong: the server's time counts.
            let answer = operator::answer(Sources { store, running }, &request, engine.now());
            answer.await.map_err(anyhow::Error::from)
        }
        Err(error) => Err(error),
    };
    let answer = answer.unwrap_or_else(|error| Response::Failed(format!("{error:#}")));
    writer.write_all(&serde_json::to_vec(&answer)?).await?;
    writer.shutdown().await?;
    Ok(())
}

/// Reads the question. All of a line is read, however long it is: the other end
/// could not read the answer to a question that was left unread.
async fn question(reader: &mut (impl AsyncBufRead + Unpin)) -> anyhow::Result<Request> {
    let mut line = Vec::new();
    let most = u64::try_from(MAX_QUESTION + 1)?;
    (&mut *reader)
        .take(most)
        .read_until(b'\n', &mut line)
        .await?;
    if line.len() > MAX_QUESTION {
        if !line.ends_with(b"\n") {
            skip_line(reader).await?;
        }
        bail!("the question has more than {MAX_QUESTION} bytes");
    }
    serde_json::from_slice(&line).context("this server does not know the question")
}

/// Reads on behind the next end of a line, and keeps nothing.
async fn skip_line(reader: &mut (impl AsyncBufRead + Unpin)) -> io::Result<()> {
    loop {
        let read = reader.fill_buf().await?;
        let end = read.iter().position(|byte| *byte == b'\n');
        let count = end.map_or(read.len(), |end| end + 1);
        reader.consume(count);
        if end.is_some() || count == 0 {
            return Ok(());
        }
    }
}
