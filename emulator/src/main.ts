/** The other services' name for an entry. It starts the same; main.js, which comes without types, starts sooner. */
import './main.js';
