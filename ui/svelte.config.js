// Svelte reads TypeScript's annotations itself, so nothing is preprocessed.
export default {
  compilerOptions: { runes: true },
};
