// Everything works without this script. With it, forms are sent in the background, the page keeps its place, what
// has changed is read aloud, and rows for wishes are added at once. Nothing is stored.
"use strict";

const status = document.getElementById("status");
const LATER = "The service could not be reached. Nothing is lost: please send it again in a moment.";
const SIGNED_OUT = "You have been signed out. Sign in again in another tab; what you typed is still here.";

function say(words) {
  status.textContent = "";
  requestAnimationFrame(() => { status.textContent = words; });
}

function notice(words) {
  document.getElementById("notice")?.remove();
  const line = document.createElement("p");
  line.id = "notice";
  line.className = "notice";
  line.tabIndex = -1;
  line.textContent = words;
  document.querySelector("main").prepend(line);
  line.focus();
  say(words);
}

function show(text, ok) {
  const next = new DOMParser().parseFromString(text, "text/html");
  if (!ok && !next.querySelector("#ask")) {
    notice(next.querySelector("main").textContent.replace(/\s+/g, " ").trim());
    return;
  }
  document.querySelector("main").replaceWith(document.adoptNode(next.querySelector("main")));
  document.title = next.title;
  const main = document.querySelector("main");
  const first = main.querySelector("[autofocus], .notice") ?? main.querySelector("h1");
  first.tabIndex = -1;
  first.focus({ preventScroll: true });
  first.scrollIntoView({ block: "start" });
  const words = [...main.querySelectorAll("[data-announce]")].map((one) => one.dataset.announce);
  say(words.join(". "));
}

async function send(form, button) {
  const sent = new FormData(form, button);
  const target = button?.getAttribute("formaction") ?? form.getAttribute("action");
  form.setAttribute("aria-busy", "true");
  say("One moment …");
  try {
    const answer = await fetch(target, { method: "POST", body: new URLSearchParams(sent), redirect: "follow" });
    if (new URL(answer.url).pathname === "/login") {
      notice(SIGNED_OUT);
    } else if (answer.headers.get("content-type")?.startsWith("text/html")) {
      show(await answer.text(), answer.ok);
    } else {
      notice((await answer.json()).detail ?? LATER);
    }
  } catch {
    notice(LATER);
  } finally {
    form.removeAttribute("aria-busy");
  }
}

function addWish() {
  const rows = document.querySelectorAll("[data-wish]");
  const last = rows[rows.length - 1];
  const number = Number(last.dataset.wish) + 1;
  const row = last.cloneNode(true);
  row.dataset.wish = number;
  row.querySelector("legend").textContent = `Wish ${number + 1}`;
  row.querySelector(".wrong")?.remove();
  for (const field of row.querySelectorAll("[name]")) {
    field.name = field.name.replace(/^wish\.\d+\./, `wish.${number}.`);
    if (field.id) field.id = field.name;
    field.removeAttribute("aria-invalid");
    field.removeAttribute("aria-describedby");
    if (field.tagName === "INPUT") field.value = "";
    else field.selectedIndex = 0;
  }
  last.after(row);
  row.querySelector("select").focus();
}

document.addEventListener("submit", (event) => {
  const form = event.target;
  const button = event.submitter;
  if ("whole" in form.dataset) return;
  event.preventDefault();
  if (form.getAttribute("aria-busy")) return;
  if (button?.name === "wishes") addWish();
  else send(form, button);
});

// A list with "not in this list" chosen shows a field to type into (style sheet); the cursor goes there.
document.addEventListener("change", (event) => {
  if (event.target.tagName === "SELECT" && event.target.value === "?") {
    event.target.closest(".field, .wish")?.querySelector(".other")?.scrollIntoView({ block: "nearest" });
  }
});
