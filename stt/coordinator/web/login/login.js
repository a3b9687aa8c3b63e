// The form works without this script; with it a wrong key is shown here, and one comes back to the
// page that was asked for.

const form = document.querySelector("form");
const field = form.elements.key;
const button = form.querySelector("button");
const refusal = document.querySelector("#refusal");

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  if (button.getAttribute("aria-busy") === "true") return;
  button.setAttribute("aria-busy", "true");
  refusal.hidden = true;
  field.removeAttribute("aria-invalid");
  try {
    const answer = await fetch("/login", {
      method: "POST",
      headers: { "Content-Type": "application/json", Accept: "application/json" },
      body: JSON.stringify({ key: field.value.trim() }),
    });
    if (answer.ok) {
      location.replace(wanted());
      return;
    }
    const body = await answer.json().catch(() => null);
    refuse(body?.error?.message ?? `The coordinator answered ${answer.status}.`);
  } catch {
    refuse("The coordinator does not answer.");
  }
});

function refuse(message) {
  button.removeAttribute("aria-busy");
  refusal.textContent = message;
  refusal.hidden = false;
  field.setAttribute("aria-invalid", "true");
  field.select();
}

/** Where to go on: never to another site, whatever the address says. */
function wanted() {
  if (location.pathname !== "/login") return location.href;
  try {
    const next = new URL(new URLSearchParams(location.search).get("next") ?? "/", location.origin);
    const isOurs = next.origin === location.origin && next.pathname !== "/login";
    return isOurs ? next.href : "/";
  } catch {
    return "/";
  }
}
