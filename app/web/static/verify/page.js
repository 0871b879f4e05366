// Starts the page as it is loaded.

import { openVerifier } from "./desk.js";

openVerifier();
