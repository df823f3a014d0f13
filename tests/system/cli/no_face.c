/* Stands in for the face: what is preloaded here needs to do nothing. */
