const state = document.getElementById("state");
const token = location.hash.slice(1);
history.replaceState(null, "", location.pathname);
fetch("/api/auth/confirm", {
  method: "POST",
  headers: { "content-type": "application/json" },
  body: JSON.stringify({ token }),
})
  .then((answer) => (state.textContent = answer.ok ? state.dataset.done : state.dataset.refused))
  .catch(() => (state.textContent = state.dataset.refused));
