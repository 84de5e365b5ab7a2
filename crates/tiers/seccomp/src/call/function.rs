//! Sandboxed functions, with and without types.

use super::answer::decode;
use super::called::Called;
use super::core::{Core, Feed, Way};
use super::error::{CallError, SandboxError};
use super::output::{Output, state};
use super::room::{Bytes, Input};
use super::spawner::Spawner;
use lazaret_policy::{Layer, Policy};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io::Write as _;
use std::marker::PhantomData;
use std::sync::Arc;

/// A function from bytes to bytes, each call of which runs in a process of its own.
///
/// Made by [`sandboxed`] and [`sandboxed_writing`], or by a [`Spawner`]. Cloning is cheap. `E` is the function's own error.
pub struct Function<E> {
    core: Arc<Core>,
    error: PhantomData<fn() -> E>,
}

/// A function from `I` to `O`, each call of which runs in a process of its own.
///
/// Made by [`sandboxed_typed`], or by a [`Spawner`]. Cloning is cheap.
pub struct TypedFunction<I, O> {
    core: Arc<Core>,
    types: PhantomData<fn(I) -> O>,
}

/// Sandboxes `function` under `policy`: it is checked, and its filter compiled, now and once.
///
/// Each call is a fork of this process, so that its cost grows with this process's size, and what it has in memory at
/// that moment can be read by the function: see [`Spawner`] for a way without either.
///
/// # Errors
///
/// The policy is for another tier, asks for what a function call cannot have, forbids what every call needs, or cannot be
/// enforced on this host.
pub fn sandboxed<F, E>(policy: &Policy, function: F) -> Result<Function<E>, SandboxError>
where
    F: Fn(&[u8]) -> Result<Vec<u8>, E> + Send + Sync + 'static,
    E: Serialize + DeserializeOwned + 'static,
{
    Function::new(policy, Way::Caller(Box::new(returning(function))))
}

/// As [`sandboxed`], for a function that writes its answer where the caller reads it, without a copy in between.
///
/// # Errors
///
/// As [`sandboxed`].
pub fn sandboxed_writing<F, E>(policy: &Policy, function: F) -> Result<Function<E>, SandboxError>
where
    F: Fn(&[u8], &mut Output) -> Result<(), E> + Send + Sync + 'static,
    E: Serialize + DeserializeOwned + 'static,
{
    Function::new(policy, Way::Caller(Box::new(writing(function))))
}

/// As [`sandboxed`], for a function of types that go through serde.
///
/// # Errors
///
/// As [`sandboxed`].
pub fn sandboxed_typed<F, I, O>(policy: &Policy, function: F) -> Result<TypedFunction<I, O>, SandboxError>
where
    F: Fn(I) -> O + Send + Sync + 'static,
    I: Serialize + DeserializeOwned + 'static,
    O: Serialize + DeserializeOwned + 'static,
{
    TypedFunction::new(policy, Way::Caller(Box::new(typed(function))))
}

impl Spawner {
    /// As [`sandboxed`], with this spawner as the parent of every call. `function` captures nothing, which is checked when
    /// it is compiled:
    ///
    /// ```compile_fail
    /// # let policy = lazaret_policy::Loader::new().profile("compute").unwrap();
    /// # let spawner = lazaret_seccomp::call::Spawner::start().unwrap();
    /// let key = vec![1_u8];
    /// spawner.sandboxed(&policy, move |input: &[u8]| Ok::<_, ()>([input, key.as_slice()].concat()));
    /// ```
    ///
    /// # Errors
    ///
    /// As [`sandboxed`](fn@sandboxed); and [`SandboxError::LoadedLater`].
    pub fn sandboxed<F, E>(&self, policy: &Policy, function: F) -> Result<Function<E>, SandboxError>
    where
        F: Fn(&[u8]) -> Result<Vec<u8>, E> + 'static,
        E: Serialize + DeserializeOwned + 'static,
    {
        Function::new(policy, Way::Spawner(self.clone(), self.entry(returning(function))?, None))
    }

    /// As [`sandboxed_writing`], with this spawner as the parent of every call.
    ///
    /// # Errors
    ///
    /// As [`Spawner::sandboxed`].
    pub fn sandboxed_writing<F, E>(&self, policy: &Policy, function: F) -> Result<Function<E>, SandboxError>
    where
        F: Fn(&[u8], &mut Output) -> Result<(), E> + 'static,
        E: Serialize + DeserializeOwned + 'static,
    {
        Function::new(policy, Way::Spawner(self.clone(), self.entry(writing(function))?, None))
    }

    /// As [`sandboxed_typed`], with this spawner as the parent of every call.
    ///
    /// # Errors
    ///
    /// As [`Spawner::sandboxed`].
    pub fn sandboxed_typed<F, I, O>(&self, policy: &Policy, function: F) -> Result<TypedFunction<I, O>, SandboxError>
    where
        F: Fn(I) -> O + 'static,
        I: Serialize + DeserializeOwned + 'static,
        O: Serialize + DeserializeOwned + 'static,
    {
        TypedFunction::new(policy, Way::Spawner(self.clone(), self.entry(typed(function))?, None))
    }
}

fn returning<F, E>(function: F) -> impl Fn(&[u8], &mut Output)
where
    F: Fn(&[u8]) -> Result<Vec<u8>, E>,
    E: Serialize,
{
    move |input: &[u8], output: &mut Output| match function(input) {
        Ok(bytes) => write(output, &bytes),
        Err(error) => write_error(output, &error),
    }
}

fn writing<F, E>(function: F) -> impl Fn(&[u8], &mut Output)
where
    F: Fn(&[u8], &mut Output) -> Result<(), E>,
    E: Serialize,
{
    move |input: &[u8], output: &mut Output| match function(input, output) {
        // What did not fit was noted.
        Err(error) if output.state != state::OVER => {
            output.clear();
            write_error(output, &error);
        }
        Ok(()) | Err(_) => {}
    }
}

fn typed<F, I, O>(function: F) -> impl Fn(&[u8], &mut Output)
where
    F: Fn(I) -> O,
    I: DeserializeOwned,
    O: Serialize,
{
    move |input: &[u8], output: &mut Output| match postcard::from_bytes(input) {
        Ok(input) => encode(output, &function(input)),
        Err(_) => output.state = state::CODEC,
    }
}

fn write(output: &mut Output, bytes: &[u8]) {
    // What does not fit was noted.
    let _noted = output.write(bytes).is_ok();
}

fn write_error(output: &mut Output, error: &impl Serialize) {
    encode(output, error);
    if output.state == state::VALUE {
        output.state = state::ERROR;
    }
}

fn encode(output: &mut Output, value: &impl Serialize) {
    match postcard::to_allocvec(value) {
        Ok(bytes) => write(output, &bytes),
        Err(_) => output.state = state::CODEC,
    }
}

fn result<E: DeserializeOwned>((is_error, bytes): (bool, Bytes)) -> Result<Result<Bytes, E>, String> {
    if is_error { decode(&bytes).map(Err) } else { Ok(Ok(bytes)) }
}

impl<E: DeserializeOwned> Function<E> {
    fn new(policy: &Policy, way: Way) -> Result<Self, SandboxError> {
        Ok(Self { core: Arc::new(Core::new(policy, way)?), error: PhantomData })
    }

    /// Calls the function with `input`, and waits for its end.
    ///
    /// # Errors
    ///
    /// Lazaret's own failures. The function's are in what is returned.
    pub fn call(&self, input: &[u8]) -> Result<Called<Result<Bytes, E>>, CallError> {
        Ok(self.core.call(Feed::Bytes(input), None)?.map(result))
    }

    /// Room for an input of up to `capacity` bytes, where the function reads it.
    ///
    /// # Errors
    ///
    /// When memory or descriptors run out.
    pub fn input(&self, capacity: usize) -> Result<Input, CallError> {
        self.core.input(capacity)
    }

    /// As [`Function::call`], with an input of [`Function::input`].
    ///
    /// # Errors
    ///
    /// As [`Function::call`].
    pub fn call_with(&self, input: Input) -> Result<Called<Result<Bytes, E>>, CallError> {
        Ok(self.core.call(Feed::Input(input), None)?.map(result))
    }

    /// Layers that this host lacks, and that the policy does without.
    pub fn missing(&self) -> &[Layer] {
        &self.core.recipe.missing
    }
}

impl<I: Serialize, O: DeserializeOwned> TypedFunction<I, O> {
    fn new(policy: &Policy, way: Way) -> Result<Self, SandboxError> {
        Ok(Self { core: Arc::new(Core::new(policy, way)?), types: PhantomData })
    }

    /// Calls the function with `input`, and waits for its end.
    ///
    /// # Errors
    ///
    /// Lazaret's own failures, and an input that cannot be encoded. The function's failures are in what is returned.
    pub fn call(&self, input: &I) -> Result<Called<O>, CallError> {
        let input = postcard::to_allocvec(input).map_err(|e| CallError::Input { problem: e.to_string() })?;
        Ok(self.core.call(Feed::Bytes(&input), None)?.map(|(_, bytes)| decode(&bytes)))
    }

    /// Layers that this host lacks, and that the policy does without.
    pub fn missing(&self) -> &[Layer] {
        &self.core.recipe.missing
    }
}

impl<E> Clone for Function<E> {
    fn clone(&self) -> Self {
        Self { core: Arc::clone(&self.core), error: PhantomData }
    }
}

impl<I, O> Clone for TypedFunction<I, O> {
    fn clone(&self) -> Self {
        Self { core: Arc::clone(&self.core), types: PhantomData }
    }
}

impl<E> std::fmt::Debug for Function<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Function").field(&self.core).finish()
    }
}

impl<I, O> std::fmt::Debug for TypedFunction<I, O> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("TypedFunction").field(&self.core).finish()
    }
}

#[cfg(feature = "tokio")]
mod asynchronous {
    use super::{
        Bytes, CallError, Called, Core, DeserializeOwned, Feed, Function, Serialize, TypedFunction, decode, result,
    };
    use rustix::event::{EventfdFlags, eventfd};
    use std::os::fd::{AsFd, OwnedFd};
    use std::sync::Arc;

    /// Ends the call of a future that is dropped while it waits.
    struct CancelOnDrop(Arc<OwnedFd>);

    impl Drop for CancelOnDrop {
        fn drop(&mut self) {
            // A counter of one takes any number of these.
            let _told = rustix::io::write(&*self.0, &1_u64.to_ne_bytes()).is_ok();
        }
    }

    async fn call(core: &Arc<Core>, input: Vec<u8>) -> Result<Called<(bool, Bytes)>, CallError> {
        let cancel = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK);
        let cancel = Arc::new(cancel.map_err(|e| CallError::resource("make a descriptor")(e.into()))?);
        let (core, seen) = (Arc::clone(core), Arc::clone(&cancel));
        let _guard = CancelOnDrop(cancel);
        let called = tokio::task::spawn_blocking(move || core.call(Feed::Bytes(&input), Some(seen.as_fd()))).await;
        called.unwrap_or(Err(CallError::Runtime))
    }

    impl<E: DeserializeOwned> Function<E> {
        /// As [`Function::call`], without blocking a worker of the Tokio runtime. Dropping the future ends the call.
        ///
        /// The waiting is done by a thread of the runtime's blocking pool, one for each running call.
        ///
        /// # Errors
        ///
        /// As [`Function::call`], and [`CallError::Runtime`] when the runtime shuts down.
        ///
        /// # Panics
        ///
        /// When called outside of a Tokio runtime.
        pub async fn call_async(&self, input: Vec<u8>) -> Result<Called<Result<Bytes, E>>, CallError> {
            Ok(call(&self.core, input).await?.map(result))
        }
    }

    impl<I: Serialize, O: DeserializeOwned> TypedFunction<I, O> {
        /// As [`TypedFunction::call`], without blocking a worker of the Tokio runtime: [`Function::call_async`].
        ///
        /// # Errors
        ///
        /// As [`TypedFunction::call`], and [`CallError::Runtime`] when the runtime shuts down.
        ///
        /// # Panics
        ///
        /// When called outside of a Tokio runtime.
        pub async fn call_async(&self, input: &I) -> Result<Called<O>, CallError> {
            let input = postcard::to_allocvec(input).map_err(|e| CallError::Input { problem: e.to_string() })?;
            Ok(call(&self.core, input).await?.map(|(_, bytes)| decode(&bytes)))
        }
    }
}
