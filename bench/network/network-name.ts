/** Of the peers of this bench. */
export const NETWORK = 'bench'
