mod answers;
mod evidence;
