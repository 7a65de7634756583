import { mount } from "svelte";
import App from "./App.svelte";
import { chooseBackend } from "./lib/backend";
import { Studio } from "./lib/state/studio.svelte";
import "./styles/tokens.css";
import "./styles/base.css";

const target = document.getElementById("app");
if (!target) throw new Error("index.html lacks #app");

const backend = await chooseBackend();
mount(App, { target, props: { studio: backend ? new Studio(backend) : null } });
